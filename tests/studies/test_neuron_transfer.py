"""Neurons between tasks: selections are those of submodels, and everything else by plain loops."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from contexts import context_with, watched
from pydantic import ValidationError
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

import neuronlab as nl
from neuronlab import statistics
from neuronlab.attribution.streamed import TOLERANCE
from neuronlab.neurons import NeuronSet
from neuronlab.proteins.baselines import judge
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.runs import Store, read_spec, run_study
from neuronlab.studies.bases.masks import neurons_of, overlaps, random_mask, select
from neuronlab.studies.neuron_transfer import NeuronTransferSpec, NeuronTransferStudy

STUDY = NeuronTransferStudy()
QKV = ("query", "key", "value")
LABELS = {"num_labels": 2, "id2label": {0: "no", 1: "yes"}}
NAMES = ["accuracy", "f1", "auc"]


def proteins(count=30):
    draw = np.random.default_rng(4)
    return tuple(
        LabelledProtein(
            f"p{i}", "".join(draw.choice([*"ACDEFGHIKLMNPQRSTVWY"], draw.integers(8, 14))), i % 2
        )
        for i in range(count)
    )


OWN = proteins()


spec = partial(
    NeuronTransferSpec,
    model="one",
    other="two",
    data="own",
    own=OWN,
    labels=("no", "yes"),
    test=0.3,
    scored=6,
    tested=None,
    fractions=(1.0, 0.25),
    seeds=2,
)


@pytest.fixture(scope="module")
def pair(tiny):
    return {
        "one": tiny("esm", "classifier", **LABELS),
        "two": tiny("esm", "classifier", seed=5, title="Other", **LABELS),
    }


@pytest.fixture(scope="module")
def ran(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return run_study(STUDY, spec(), Store(folder), context_with(pair))


def quick(tmp_path, models, **changes):
    asked = spec(method="activation", **changes)
    return run_study(STUDY, asked, Store(tmp_path), context_with(models))


@pytest.fixture(scope="module")
def scores(pair):
    """Of both models by plain attribution: one explains the labels, the other what it says."""
    found = {}
    for name, model in pair.items():
        each = []
        for protein in spec().to_score():
            said = nl.predict(model, nl.Prompt(protein.sequence)).target
            target = protein.label if name == "one" else said
            scored = nl.attribute(
                model,
                nl.Prompt(protein.sequence, target=target),
                objective="logit",
                positions="all",
                baseline="input",
                components=QKV,
                tolerance=TOLERANCE,
            )
            each.append({c: np.abs(scored[c]) for c in QKV})
        found[name] = {c: np.mean([own[c] for own in each], 0) for c in QKV}
    return found


def probabilities(model, mask=None):
    keep = None if mask is None else nl.KeepOnly(neurons_of(mask), components=QKV)
    return np.array(
        [
            nl.predict(model, nl.Prompt(p.sequence, 0), intervention=keep).probabilities.numpy()
            for p in spec().to_test()
        ],
        dtype=float,
    )


def measured(labels, p):
    return {
        "accuracy": accuracy_score(labels, p.argmax(1)),
        "f1": f1_score(labels, p.argmax(1), zero_division=0),
        "auc": roc_auc_score(labels, p[:, 1]) if len(set(labels)) > 1 else np.nan,
    }


def labels_of(name, pair):
    given = np.array([protein.label for protein in spec().to_test()])
    return given if name == "one" else probabilities(pair["two"]).argmax(1)


@pytest.mark.long
@pytest.mark.parametrize("name", ["one", "two"])
def test_every_row_is_the_plain_loop(ran, pair, scores, name):
    table = ran.tables["transfer"]
    assert len(table) == 2 * 2 * 2 * (1 + 2)
    table = table[(table["model"] == name) & (table["fraction"] == 0.25)]
    assert table["neurons"].tolist() == [
        *("its own", "random like its own", "random like its own"),
        *("the other's", "random like the other's", "random like the other's"),
    ]
    other = "two" if name == "one" else "one"
    labels, full = labels_of(name, pair), probabilities(pair[name])
    said, at = full.argmax(1), np.arange(len(full))
    judged = {"full": [judge(labels, full)]}
    for row in table.itertuples():
        mask = select(scores[name if row.neurons.endswith("its own") else other], 0.25, "raw")
        if "random" in row.neurons:
            drawn = random_mask(scores[name], 0.25, statistics.seeds(0, 2)[row.seed], mask)
            assert {c: own.sum(1).tolist() for c, own in drawn.items()} == {
                c: own.sum(1).tolist() for c, own in mask.items()
            }
            mask = drawn
        p = probabilities(pair[name], mask)
        judged.setdefault(row.neurons, []).append(judge(labels, p))
        found = {metric: getattr(row, metric) for metric in NAMES}
        assert found == pytest.approx(measured(labels, p), nan_ok=True)
        assert row.shift == pytest.approx((p[at, said] - full[at, said]).mean(), abs=1e-5)
    assert table["shift"].abs().min() > 1e-4
    compared = ran.tables["compared"]
    compared = compared[(compared["model"] == name) & (compared["fraction"] == 0.25)]
    pairs = compared[["neurons", "against"]].drop_duplicates().values.tolist()
    assert pairs == [
        ["its own", "random like its own"],
        ["its own", "full"],
        ["the other's", "random like the other's"],
        ["the other's", "full"],
        ["the other's", "its own"],
    ]
    for who, against in pairs:
        here = compared[(compared["neurons"] == who) & (compared["against"] == against)]
        expected = pd.DataFrame(judged[who][0].above(judged[against]))
        pd.testing.assert_frame_equal(
            here[expected.columns].reset_index(drop=True), expected, atol=1e-9
        )


def test_its_figure_is_of_the_model_that_the_labels_are_of(ran):
    table = ran.tables["transfer"]
    drawn = {line.name: line.y for line in STUDY.plot(spec(), ran).data if line.mode != "none"}
    for neurons, title in (("its own", "its own neurons"), ("random like its own",) * 2):
        rows = table[(table["model"] == "one") & (table["neurons"] == neurons)]
        means = rows.groupby("fraction")["auc"].mean()
        assert list(drawn[title]) == pytest.approx(means.tolist())


def test_the_full_models(ran, pair):
    full = ran.numbers["full"]
    for name in ("one", "two"):
        labels = labels_of(name, pair)
        assert full[name] == pytest.approx(measured(labels, probabilities(pair[name])), nan_ok=True)
        assert ran.numbers["fewest"][name] == min((labels == label).sum() for label in (0, 1))
    assert full["two"]["accuracy"] == 1.0
    assert full["one"]["accuracy"] < 1.0
    assert (ran.numbers["scored"], ran.numbers["tested"]) == (6, len(spec().to_test()))


def test_nothing_is_lost_when_all_neurons_are_kept(ran):
    table = ran.tables["transfer"]
    whole = table[table["fraction"] == 1.0]
    assert len(whole) == 12
    assert whole["shift"].to_numpy() == pytest.approx(0, abs=1e-6)
    for row in whole.itertuples():
        assert row.accuracy == ran.numbers["full"][row.model]["accuracy"]
    assert (whole.loc[whole["model"] == "two", "accuracy"] == 1.0).all()


def test_overlaps_by_brute_force(ran, scores):
    table = ran.tables["overlap"].set_index(["fraction", "component"])
    assert len(table) == 2 * 3
    a, b = (
        {(n.layer, n.component, n.index) for n in neurons_of(select(scores[name], 0.25, "raw"))}
        for name in ("one", "two")
    )
    for c in QKV:
        one, other = ({n for n in own if n[1] == c} for own in (a, b))
        row = table.loc[0.25, c]
        assert row["shared"] == len(one & other)
        assert row["jaccard"] == pytest.approx(len(one & other) / len(one | other))
        by_layer = [[sum(n[0] == layer for n in own) for layer in range(3)] for own in (one, other)]
        expected = sum(x * y / 32 for x, y in zip(*by_layer, strict=True))
        assert row["expected"] == pytest.approx(expected)
        rho = spearmanr(scores["one"][c].ravel(), scores["two"][c].ravel()).statistic
        assert row["spearman"] == pytest.approx(rho, abs=1e-4)
        everything = table.loc[1.0, c]
        assert everything["shared"] == everything["expected"] == 96
        assert everything["jaccard"] == 1.0


def test_random_sets_share_what_is_expected():
    """The expectation of the overlap, by drawing."""
    draw = np.random.default_rng(0)
    scored = [{"key": draw.exponential(size=(2, 40)) * [[1.0], [s]]} for s in (3.0, 0.5)]
    (row,) = pd.DataFrame(overlaps(*scored, (0.25,))).itertuples()
    counts = [select(own, 0.25, "raw")["key"].sum(1) for own in scored]
    shared = [
        sum(
            len({*draw.choice(40, x, replace=False)} & {*draw.choice(40, y, replace=False)})
            for x, y in zip(*counts, strict=True)
        )
        for _ in range(2000)
    ]
    assert row.expected == pytest.approx(np.mean(shared), rel=0.1)


def test_twins_share_every_neuron(pair, twin, tmp_path):
    """The same model again: its neurons are the other's, where both explain the same class."""
    models = {"one": pair["one"], "two": twin(pair["one"])}
    found = quick(tmp_path, models, fractions=(0.25,))
    assert found.tables["overlap"]["jaccard"].tolist() == [1.0] * 3
    assert found.tables["overlap"]["spearman"].to_numpy() == pytest.approx(1.0)
    table = found.tables["transfer"]
    for name in ("one", "two"):
        own, other = (
            table[(table["model"] == name) & (table["neurons"] == who)][[*NAMES, "shift"]]
            for who in ("its own", "the other's")
        )
        assert len(own) == len(other) == 1
        assert own.to_numpy() == pytest.approx(other.to_numpy(), nan_ok=True)


@pytest.mark.parametrize("settings", [{"num_hidden_layers": 2}, {"intermediate_size": 24}])
def test_models_of_different_shapes_are_one_sentence(pair, tiny, tmp_path, sentence, settings):
    other = tiny("esm", "classifier", title="Other shape", **LABELS, **settings)
    for models in ({"one": pair["one"], "two": other}, {"one": other, "two": pair["one"]}):
        says = ["different shapes", "Other shape"]
        sentence(quick, tmp_path, models, says=says)


def test_what_is_no_protein_classifier_is_one_sentence(pair, tiny, tmp_path, sentence):
    for wrong in (tiny("esm", "masked"), tiny("bert", "classifier")):
        for models in ({"one": pair["one"], "two": wrong}, {"one": wrong, "two": pair["one"]}):
            sentence(quick, tmp_path, models, says="classifier")


def test_a_model_of_other_classes_is_one_sentence(pair, tiny, tmp_path, sentence):
    models = {"one": tiny("esm", "classifier"), "two": pair["two"]}
    sentence(quick, tmp_path, models, says="classes")


def test_a_spec_goes_through_its_json():
    again = read_spec(spec().to_json(), {"neuron_transfer": NeuronTransferSpec})
    assert again == spec()
    assert again.key == spec().key != spec(other="three").key
    for wrong in ({"method": "amig"}, {"seeds": 0}, {"data": "nothing"}):
        with pytest.raises(ValidationError):
            spec(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fractions": ()},
        {"fractions": (-0.5,)},
        {"fractions": (2.0,)},
        {"components": ()},
        {"components": ("attention",)},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        spec(**wrong)


def test_previews_are_what_both_share_and_the_first_model(pair, tmp_path):
    result, previews = watched(pair, spec(method="activation"), tmp_path)
    assert [each.words for each in previews] == ["2 of 2 models", "one is judged, two is next"]
    for preview in previews:
        pd.testing.assert_frame_equal(preview.result.tables["overlap"], result.tables["overlap"])
    judged = previews[1].result
    for name in ("transfer", "compared"):
        table = result.tables[name]
        pd.testing.assert_frame_equal(judged.tables[name], table[table["model"] == "one"])
    assert judged.numbers["full"] == {"one": result.numbers["full"]["one"]}


def test_all_is_more_than_nothing(pair):
    """The oracle of this file: keeping nothing is not keeping all."""
    model = pair["one"]
    nothing = {c: np.zeros((3, 32), bool) for c in QKV}
    assert len(neurons_of(nothing)) == len(NeuronSet()) == 0
    assert np.abs(probabilities(model, nothing) - probabilities(model)).max() > 1e-3
