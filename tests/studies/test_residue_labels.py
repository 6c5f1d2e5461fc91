"""Labels per residue: chains whose residues tell their states, and sides that are no relatives."""

from types import SimpleNamespace

import numpy as np
import pytest
from contexts import context_with, like, run, watched

from neuronlab.labels.proteins import EXPLAINED, JUDGED
from neuronlab.labels.residues import CONCEPTS, concepts, correlations
from neuronlab.proteins.labelled import LABELLED, LabelledProtein, data_rows
from neuronlab.studies.residue_labels import (
    FOLLOWS,
    ResidueLabelsSpec,
    ResidueLabelsStudy,
    following,
)

STUDY = ResidueLabelsStudy()


def chains(count=300, seed=1):
    """Alanine in a helix, valine in a strand, glycine elsewhere: a random model can tell them.

    Each has as many of each, so that what is shifted has nothing left to say.
    """
    draw = np.random.default_rng(seed)
    made = []
    for i in range(count):
        runs = [state * length for state in "HEC" for length in (4, 6, 8)]
        states = "".join(draw.permutation(runs))
        sequence = states.translate(str.maketrans("HEC", "AVG"))
        made.append(LabelledProtein(f"p{i}", sequence, 0, states))
    return made


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setitem(LABELLED, "pdb_enzyme", SimpleNamespace(proteins=chains()))


@pytest.fixture
def result(told, tiny, tmp_path):
    spec = ResidueLabelsSpec(model="x", components=("key", "ffn"))
    return run(tiny("esm", "masked"), spec, tmp_path)


def test_neurons_that_follow_are_found_and_shifted_states_are_not_followed(result, tiny):
    table, model = result.tables["labels"], tiny("esm", "masked")
    assert len(table) == model.layers * (model.sizes["ffn"] + model.sizes["key"])
    best = table.groupby("concept")["correlation"].max()
    assert best["helix"] > 0.8
    assert best["strand"] > 0.8
    assert table["correlation"].abs().median() > 0.2
    control = table["control_correlation"]
    assert control.abs().max() < 0.1
    assert abs(control.mean()) < 0.05
    n = result.numbers
    assert n["following"] == (table["correlation"] >= 0.3).sum() == len(following(table)) > 20
    assert (n["control_following"], n["control_most"]) == (0, control.max())
    assert (n["explained"], n["judged"], n["neurons"], n["live"]) == (150, 150, *[len(table)] * 2)


def test_few_chains_are_shown_first(told, tiny, tmp_path):
    model = tiny("esm", "masked")
    spec = ResidueLabelsSpec(model="x")
    _, (preview,) = watched(model, spec, tmp_path)
    assert preview.words == "200 of 300 chains"
    some = spec.model_copy(update={"limit": 200})
    like(preview.result, run(model, some, tmp_path))


def test_the_tables_say_what_the_arrays_say(result, told, tiny):
    spec = ResidueLabelsSpec(model="x", components=("key", "ffn"))
    sides = spec.sides()
    marks = spec.marks(sides)
    for name, side, columns in (
        ("explained", EXPLAINED, slice(0, 7)),
        ("judged", JUDGED, slice(0, 7)),
        ("shifted", JUDGED, slice(7, 14)),
    ):
        sequences = [protein.sequence for protein in sides[side]]
        alone = [of[:, columns] for of in marks[side]]
        expected = correlations(tiny("esm", "masked"), sequences, alone, ("key",))["key"]
        assert result.arrays[f"{name}.key"] == pytest.approx(expected, abs=1e-5)
    table, rows = result.tables["labels"], result.tables["concepts"]
    assert rows["concept"].tolist() == list(CONCEPTS)
    for row in rows.itertuples():
        of = table[table["concept"] == row.concept]
        assert row.neurons == (of["correlation"] >= FOLLOWS).sum()
        number = CONCEPTS.index(row.concept)
        most = max(np.abs(result.arrays[f"explained.{c}"][number]).max() for c in ("key", "ffn"))
        assert abs(row.explained) == pytest.approx(most)
        for name in ("explained", "judged", "shifted"):
            array = result.arrays[f"{name}.{row.component}"]
            assert array[number, row.layer, row.neuron] == pytest.approx(getattr(row, name))
    assert rows["residues"][[0, 3, 6]].sum() == pytest.approx(1)
    proteins = result.tables["proteins"]
    for side, of in sides.items():
        listed = proteins[proteins["side"] == side]
        assert listed["sequence"].tolist() == [protein.sequence for protein in of]


def test_shifted_states_are_those_of_the_chain_moved_on(told):
    spec = ResidueLabelsSpec(model="x")
    sides = spec.sides()
    shifts = set()
    for side, marks in spec.marks(sides).items():
        for protein, table in zip(sides[side], marks, strict=True):
            states = protein.secondary.replace("C", "-")
            assert np.array_equal(table[:, :7], concepts(states))
            fitting = [
                k for k in range(1, len(table))
                if np.array_equal(table[:, 7:], np.roll(table[:, :7], k, 0))
            ]  # fmt: skip
            assert fitting
            shifts.update(fitting)
    assert len(shifts) > 20
    again, other = spec.marks(sides), spec.model_copy(update={"seed": 1}).marks(sides)
    assert np.array_equal(again[JUDGED][0], spec.marks(sides)[JUDGED][0])
    assert any(
        not np.array_equal(one, two)
        for one, two in zip(again[JUDGED], other[JUDGED], strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("limit", [None, 400])
def test_no_judge_is_related_to_a_chain_that_explains(limit):
    sides = ResidueLabelsSpec(limit=limit).sides()
    names = {side: {protein.name for protein in of} for side, of in sides.items()}
    count = limit or 3_000
    assert len(names[EXPLAINED]) == count // 2
    assert 0.6 * count // 2 < len(names[JUDGED]) <= count // 2
    assert not names[EXPLAINED] & names[JUDGED]
    for row in data_rows("pdb_relatives.tsv.gz"):
        pair = {row["one"], row["other"]}
        assert not (pair & names[EXPLAINED] and pair & names[JUDGED])
    other = ResidueLabelsSpec(limit=limit, seed=1).sides()
    assert {protein.name for protein in other[EXPLAINED]} != names[EXPLAINED]


def test_it_suits_models_of_proteins_of_every_kind(tiny, sentence, tmp_path):
    model = tiny("esm", "masked")
    spec = STUDY.example(model)
    assert (spec.model, spec.limit) == (model.name, 200)
    assert STUDY.cost(spec, context_with(model)).seconds > 0
    for pair in (("esm", "classifier"), ("bert", "masked"), ("llama", "causal")):
        assert STUDY.example(tiny(*pair)) is None
    llama = tiny("llama", "causal")
    sentence(run, llama, ResidueLabelsSpec(model="x", limit=20), tmp_path, says="protein model")
