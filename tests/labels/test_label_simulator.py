"""The study that trains the paper's simulator, on a small Longformer and planted neurons."""

import numpy as np
import pandas as pd
import pytest
from test_longformer import QUICK, tiny

from neuronlab.labels import longformer
from neuronlab.labels.prompts import Example
from neuronlab.labels.proteins import READ
from neuronlab.runs import Context, Result
from neuronlab.studies.label_simulator import LabelSimulatorSpec, LabelSimulatorStudy

KEPT = 8


@pytest.fixture
def given():
    """Ten neurons, each driven by the share of K or of W, on forty proteins."""
    draw = np.random.default_rng(0)
    sequences = ["".join(draw.choice(list("AGKW"), 20)) for _ in range(40)]
    proteins = pd.DataFrame({"name": [f"p{i}" for i in range(40)], "sequence": sequences})
    proteins["annotations"] = [[] for _ in sequences]
    proteins[list(READ)] = np.nan
    share = {x: np.array([s.count(x) / 20 for s in sequences]) for x in "KW"}
    letters = ["K", "W"] * 5
    values = np.stack([share[x] for x in letters])
    order = np.argsort(-values, axis=1, kind="stable")
    ends = {"top": order[:, :KEPT], "bottom": order[:, ::-1][:, :KEPT]}
    arrays = {f"{end}_at.ffn": at[None].astype(np.int32) for end, at in ends.items()}
    arrays |= {
        f"{end}.ffn": np.take_along_axis(values, at, 1)[None].astype(np.float32)
        for end, at in ends.items()
    }
    labels = pd.DataFrame(
        {
            "layer": 0,
            "component": "ffn",
            "neuron": range(11),
            "label": [f"many {x}" for x in letters] + [""],
        }
    )
    return Result(tables={"labels": labels}), Result(tables={"proteins": proteins}, arrays=arrays)


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    longformer.save(tiny(), tmp_path / "base")
    quick = {"epochs": 6, "batch": QUICK.batch, "rate": QUICK.rate, "tokens": 200}
    return LabelSimulatorSpec(base=str(tmp_path / "base"), share=1.0, top=8, bottom=8, **quick)


def test_pairs_are_both_ends_of_labelled_neurons(given, spec):
    labels, exemplars = given
    pairs = LabelSimulatorStudy().pairs(spec, labels.tables["labels"], exemplars)
    assert len(pairs) == 10 * 16
    assert {pair.neuron for pair in pairs} == {f"0.ffn.{i}" for i in range(10)}
    for pair in pairs:
        letter = pair.hypothesis.removeprefix("many ")
        protein = pair.protein
        assert isinstance(protein, Example)
        assert protein.activation == pytest.approx(protein.sequence.count(letter) / 20)
    few = spec.model_copy(update={"share": 0.2, "top": 3, "bottom": 1})
    some = LabelSimulatorStudy().pairs(few, labels.tables["labels"], exemplars)
    assert len(some) == 2 * 4


@pytest.mark.long
def test_what_was_trained_is_kept_and_reads_hypotheses(given, spec):
    context = Context("cpu")
    context.given = given
    result = LabelSimulatorStudy().run_shard(spec, None, context)
    numbers = result.numbers
    assert numbers["neurons"] == 10
    assert numbers["pairs"] == 160
    r = result.tables["neurons"]["r"]
    assert numbers["r"] == pytest.approx(r.mean(), nan_ok=True)
    curve = result.tables["curve"]["loss"]
    assert curve.tail(5).mean() < curve.head(5).mean()
    kept = longformer.load(numbers["folder"], device="cpu")
    proteins = [Example(s, s, 0.0, {}) for s in ("KKKKKKKKKKAAGGAAGGAA", "AGAGAGAGAGAGAGAGAGAG")]
    told = longformer.simulate(kept, "many K", proteins)
    assert ((told >= 0) & (told <= 10)).all()


def test_it_starts_from_labels_and_their_proteins(spec):
    needs = LabelSimulatorStudy().needs(spec)
    assert [own for _, own in needs] == [spec.labels, spec.labels.exemplars]
