"""Submodels: counts by hand, and every metric by a plain loop over proteins."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_with, run, watched
from pydantic import ValidationError
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

import neuronlab as nl
from neuronlab import statistics
from neuronlab.attribution.streamed import SCORED, TOLERANCE
from neuronlab.models import COMPONENTS
from neuronlab.neurons import NeuronSet, predict_over, predictions
from neuronlab.proteins.baselines import judge
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.runs import Store, read_spec, run_study
from neuronlab.studies import submodels
from neuronlab.studies.bases.masks import neurons_of, random_mask, select
from neuronlab.studies.submodels import SubmodelsSpec, SubmodelsStudy

STUDY = SubmodelsStudy()
QKV = ("query", "key", "value")
DRAW = np.random.default_rng(7)
SCORES = {c: DRAW.exponential(1.0, (3, 32)).astype(np.float32) for c in QKV}


def counts(mask):
    return {c: own.sum(1).tolist() for c, own in mask.items()}


def total(mask):
    return sum(int(own.sum()) for own in mask.values())


def where(mask):
    return {(c, *place) for c, own in mask.items() for place in np.argwhere(own).tolist()}


# --- Selection -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.5, 0.25, 0.1, 0.01, 0.001, 1 / 288, 0.999])
def test_counts_are_exact(fraction):
    assert total(select(SCORES, fraction, "raw")) == int(fraction * 288)
    assert total(select(SCORES, fraction, "z")) == int(fraction * 288)
    each = int(fraction * 32)
    assert counts(select(SCORES, fraction, "quota")) == {c: [each] * 3 for c in QKV}


@pytest.mark.parametrize(
    ("fraction", "size"),
    [
        *((f, size) for f in ("0.5", "0.1", "0.01", "0.2") for size in (100, 5760)),
        ("0.29", 100),
    ],
)
def test_the_floor_is_that_of_the_decimal_fraction(fraction, size):
    mask = select({"key": np.arange(size, dtype=float)[None]}, float(fraction), "raw")
    assert total(mask) == int(Fraction(fraction) * size)


def test_the_highest_are_kept():
    mask = select(SCORES, 0.1, "raw")
    kept = np.concatenate([SCORES[c][mask[c]] for c in QKV])
    others = np.concatenate([SCORES[c][~mask[c]] for c in QKV])
    assert kept.min() > others.max()
    mask = select(SCORES, 0.1, "quota")
    for c in QKV:
        for own, row in zip(mask[c], SCORES[c], strict=True):
            assert row[own].min() > row[~own].max()


def test_less_is_a_part_of_more():
    for selection in ("raw", "z", "quota"):
        some = [where(select(SCORES, f, selection)) for f in (0.1, 0.25, 0.5)]
        assert some[0] < some[1] < some[2]


def test_ties_go_to_the_earlier_component_layer_and_neuron():
    flat = {c: np.ones((2, 4)) for c in ("query", "key")}
    found = where(select(flat, 0.4, "raw"))  # 6 of 16
    expected = [("query", 0, i) for i in range(4)] + [("query", 1, i) for i in range(2)]
    assert found == set(expected)
    flat["key"][1, 3] = 2.0
    assert where(select(flat, 0.4, "raw")) == {*expected[:5], ("key", 1, 3)}
    quota = select(flat, 0.5, "quota")
    assert quota["query"].tolist() == [[True, True, False, False]] * 2
    assert quota["key"][1].tolist() == [True, False, False, True]


def test_z_is_raw_on_standard_scores():
    standard = {
        c: (own - own.mean(1, keepdims=True)) / own.std(1, keepdims=True)
        for c, own in SCORES.items()
    }
    for fraction in (0.5, 0.1, 0.02):
        z = where(select(SCORES, fraction, "z"))
        assert z == where(select(standard, fraction, "raw"))
        assert z != where(select(SCORES, fraction, "raw"))


def test_a_matrix_without_differences_is_no_reason_to_fail():
    flat = SCORES | {"key": np.full((3, 32), 5.0)}
    mask = select(flat, 0.1, "z")
    assert total(mask) == 28
    assert mask["key"].sum() == 0  # its scores are all average


def test_only_raw_favours_a_matrix_that_is_larger():
    scaled = SCORES | {"key": SCORES["key"] * np.array([[1.0], [50.0], [1.0]])}
    raw, before = select(scaled, 0.1, "raw"), select(SCORES, 0.1, "raw")
    assert raw["key"][1].sum() > 20 > 2 * before["key"][1].sum()
    assert where(select(scaled, 0.1, "quota")) == where(select(SCORES, 0.1, "quota"))
    assert where(select(scaled, 0.1, "z")) == where(select(SCORES, 0.1, "z"))


def test_random_neurons_are_as_many_and_others_for_each_seed():
    for fraction in (0.5, 0.1, 0.01):
        first, again, other = (random_mask(SCORES, fraction, seed) for seed in (1, 1, 2))
        assert total(first) == total(other) == int(fraction * 288)
        assert where(first) == where(again)
        assert where(first) != where(other)
    changed = {c: own[::-1] for c, own in SCORES.items()}
    assert where(random_mask(changed, 0.1, 1)) == where(random_mask(SCORES, 0.1, 1))


def test_every_neuron_is_as_likely():
    times = sum(
        np.concatenate([own.ravel() for own in random_mask(SCORES, 0.25, seed).values()])
        for seed in range(400)
    )
    assert times.sum() == 400 * 72
    assert times.std() == pytest.approx(np.sqrt(400 * 0.25 * 0.75), rel=0.2)


def test_stratified_neurons_are_as_many_in_every_matrix():
    like = select(SCORES | {"key": SCORES["key"] * 10}, 0.1, "raw")
    for seed in range(5):
        mask = random_mask(SCORES, 0.1, seed, like)
        assert counts(mask) == counts(like)
        assert where(mask) != where(like)
    assert where(random_mask(SCORES, 0.1, 0, like)) != where(random_mask(SCORES, 0.1, 1, like))


def test_a_mask_becomes_neurons():
    mask = {"query": np.zeros((2, 3), bool), "value": np.zeros((2, 3), bool)}
    mask["query"][1, 2] = mask["value"][0, 0] = True
    assert list(neurons_of(mask)) == [(0, "value", 0), (1, "query", 2)]


# --- Interventions over many prompts -------------------------------------------------------------

SEQUENCES = ("MKTAYIAKQR", "GSLEDWAAK", "LLVVMKCHYNQPTW")


@pytest.fixture
def model(tiny):
    return tiny("esm", "classifier", num_labels=2, id2label={0: "no", 1: "yes"})


def encoded(model, sequences=SEQUENCES):
    return [model.encode(nl.Prompt(s, target=i % 2)) for i, s in enumerate(sequences)]


def everything(model, components):
    return NeuronSet(
        (layer, c, i)
        for layer in range(model.layers)
        for c in components
        for i in range(model.sizes[c])
    )


def emptied(model, sequence, components, oracle, values):
    """Probabilities with all neurons of the components replaced, by plain hooks."""
    ids = model.encode(nl.Prompt(sequence, target=0)).input_ids
    contexts = [
        oracle.hooked(model.hf, layer, c, lambda neurons, at=(layer, c): values(at, neurons))
        for layer in range(model.layers)
        for c in components
    ]
    for context in contexts:
        context.__enter__()
    try:
        with torch.no_grad():
            return model.hf(input_ids=ids).logits.softmax(-1)[0].numpy()
    finally:
        for context in contexts:
            context.__exit__(None, None, None)


@pytest.mark.parametrize("means", [False, True])
def test_keeping_all_is_the_full_model(model, means):
    values = {(layer, c): torch.ones(32) for layer in range(3) for c in QKV} if means else None
    keep = nl.KeepOnly(everything(model, QKV), components=QKV, means=values)
    full, kept = predict_over(model, encoded(model), [None, keep])
    assert torch.equal(kept, full)


def test_keeping_none_is_the_floor(model, oracle):
    keep = nl.KeepOnly(NeuronSet(), components=QKV)
    (found,) = predict_over(model, encoded(model), [keep])
    (off,) = predict_over(model, encoded(model), [nl.Suppress(everything(model, QKV))])
    assert found.numpy() == pytest.approx(off.numpy(), abs=1e-6)
    for sequence, own in zip(SEQUENCES, found.numpy(), strict=True):
        plain = emptied(model, sequence, QKV, oracle, lambda at, neurons: 0 * neurons)
        assert own == pytest.approx(plain, abs=1e-6)


def test_keeping_none_at_means_puts_the_means_everywhere(model, oracle):
    means = {(layer, c): torch.randn(32) for layer in range(3) for c in QKV}
    keep = nl.KeepOnly(NeuronSet(), components=QKV, means=means)
    (found,) = predict_over(model, encoded(model), [keep])
    for sequence, own in zip(SEQUENCES, found.numpy(), strict=True):
        plain = emptied(
            model, sequence, QKV, oracle, lambda at, neurons: means[at].expand_as(neurons)
        )
        assert own == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("tokens", [1, 40, 4096])
@pytest.mark.parametrize("kind", [("esm", "classifier"), ("llama", "causal")])
def test_many_prompts_are_as_one_at_a_time(tiny, monkeypatch, tokens, kind):
    model = tiny(*kind)
    texts = SEQUENCES if kind[0] == "esm" else ("the quick brown", "London is", "a lazy dog over x")
    prompts = [model.encode(nl.Prompt(text, target=1)) for text in texts]
    some = NeuronSet([(0, "ffn", 3), (1, "value", 2), (2, "query", 5)])
    changes = [
        None,
        nl.Suppress(some),
        nl.KeepOnly(some, components=("value",)),
        nl.Amplify(some, factor=-3.0),
        nl.Suppress(NeuronSet()),
    ]
    monkeypatch.setattr(predictions, "_TOKENS_PER_BATCH", tokens)
    heard = []
    found = predict_over(model, prompts, changes, heard.append)
    assert found.shape == (5, 3, len(nl.predict(model, nl.Prompt(texts[0])).logits))
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1.0)
    monkeypatch.undo()
    for i, prompt in enumerate(prompts):
        single = nl.predict_many(model, prompt, changes)
        expected = torch.stack([p.probabilities for p in single])
        assert torch.allclose(found[:, i], expected, rtol=1e-4, atol=1e-6)
    assert (found[1:4] - found[0]).abs().amax((1, 2)).min() > 1e-4


def test_the_predicted_position_is_refused(model, hooks_of):
    hooks = hooks_of(model)
    off = nl.Suppress(NeuronSet([(0, "ffn", 0)]), "predicted")
    with pytest.raises(ValueError, match="all positions"):
        predict_over(model, encoded(model), [None, off])
    assert hooks_of(model) == hooks


def test_an_exception_ends_it_and_leaves_no_hooks(model, hooks_of, sentence):
    hooks = hooks_of(model)

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_over(model, encoded(model), [nl.Suppress(everything(model, QKV))], stop)
    sentence(predict_over, model, encoded(model), [nl.Suppress(NeuronSet([(9, "ffn", 0)]))])
    assert hooks_of(model) == hooks


# --- A whole run ---------------------------------------------------------------------------------


def proteins(count=40, seed=0, letters="ACDEFGHIKLMNPQRSTVWY"):
    draw = np.random.default_rng(seed)
    return tuple(
        LabelledProtein(
            f"p{i}",
            sequence := "".join(draw.choice([*letters], draw.integers(8, 15))),
            int(i % 5 < 2),
            "".join(draw.choice([*"HEC"], len(sequence))),
        )
        for i in range(count)
    )


OWN = proteins()


spec = partial(
    SubmodelsSpec,
    model="x",
    data="own",
    own=OWN,
    labels=("no", "yes"),
    test=0.3,
    scored=12,
    tested=None,
    selections=("raw", "z", "quota"),
    fractions=(0.5, 0.1),
    ablations=("zero", "mean"),
    seeds=2,
    singles=4,
)


QUICK = {
    "tested": 8,
    "methods": ("activation",),
    "selections": ("raw",),
    "fractions": (0.25,),
    "seeds": 1,
    "singles": 2,
}


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory):
    found = tiny("esm", "classifier", num_labels=2, id2label={0: "no", 1: "yes"})
    folder = tmp_path_factory.mktemp("runs")
    return found, spec(), run(found, spec(), folder)


def scores_of(result, method, components=QKV):
    return {c: result.arrays[f"{method}.{c}"] for c in components}


def means_of(result):
    """What ``KeepOnly`` takes to set neurons to their mean."""

    def named(name):
        arrays = {c: torch.from_numpy(result.arrays[f"{name}.{c}"]) for c in QKV}
        return {(layer, c): own[layer] for c, own in arrays.items() for layer in range(3)}

    return {"means": named("mean"), "token_means": {0: named("mean0"), -1: named("mean-1")}}


def ablated(result, row):
    return means_of(result) if row.ablation == "mean" else {}


def mask_of(result, row):
    """What a row keeps, of the scores in the result."""
    if row.method in SCORED:
        return select(scores_of(result, row.method), row.fraction, row.selection)
    seed = statistics.seeds(0, 2)[row.seed]
    if row.method == "random":
        return random_mask(SCORES, row.fraction, seed)
    scores = scores_of(result, row.like or "activation")
    return random_mask(SCORES, row.fraction, seed, select(scores, row.fraction, row.selection))


def probabilities(model, asked, change):
    """On the test proteins, one prediction at a time."""
    return np.array(
        [
            nl.predict(
                model, nl.Prompt(protein.sequence, target=0), intervention=change
            ).probabilities.numpy()
            for protein in asked.to_test()
        ]
    )


def judged(model, asked, change):
    """Accuracy, F1 and AUC on the test proteins, one prediction at a time."""
    labels = [protein.label for protein in asked.to_test()]
    p = probabilities(model, asked, change)
    called = p.argmax(1)
    return {
        "accuracy": accuracy_score(labels, called),
        "f1": f1_score(labels, called, zero_division=0),
        "auc": roc_auc_score(labels, p[:, 1]),
    }


NAMES = ["accuracy", "f1", "auc"]


@pytest.mark.long
def test_every_submodel_has_a_row(ran):
    _, asked, result = ran
    table = result.tables["submodels"]
    # Full, two floors; per fraction 3 methods x 3 selections, and, twice each, random, and
    # stratified like each method for two selections and like all for the quota.
    assert len(table) == 1 + 2 + 2 * (9 + 2 * (1 + 3 + 3 + 1)) * 2
    assert asked.submodels == len(table) + len(result.tables["only"])
    assert set(table["method"]) == {*SCORED, "random", "stratified random", "full", "floor"}
    places = ["method", "selection", "like", "seed", "fraction", "ablation"]
    assert not table.duplicated(places).any()
    for name in NAMES:
        assert (table[f"{name}_low"] <= table[name] + 1e-12).all()
        assert (table[name] <= table[f"{name}_high"] + 1e-12).all()
    assert {*places, *NAMES} <= set(table.columns)
    numbers = result.numbers
    assert (numbers["scored"], numbers["tested"], numbers["layers"]) == (12, 12, 3)
    assert numbers["residues"] == sum(len(p.sequence) for p in asked.to_score())


@pytest.mark.long
def test_the_metrics_are_those_of_the_plain_loop(ran):
    model, asked, result = ran
    table = result.tables["submodels"]
    rows = table[table["method"].isin(SCORED)].sample(4, random_state=0)
    random = table[table["method"] == "random"].sample(1, random_state=0)
    stratified = table[table["method"] == "stratified random"]
    stratified = stratified.groupby("selection").sample(1, random_state=1)
    assert set(rows["ablation"]) == {"zero", "mean"}
    for row in [*rows.itertuples(), *random.itertuples(), *stratified.itertuples()]:
        kept = neurons_of(mask_of(result, row))
        change = nl.KeepOnly(kept, components=QKV, **ablated(result, row))
        expected = judged(model, asked, change)
        assert {name: getattr(row, name) for name in NAMES} == pytest.approx(expected)


def test_random_neurons_have_the_counts_of_what_they_are_compared_with(ran):
    _, asked, result = ran
    table = result.tables["submodels"]
    stratified = table[table["method"] == "stratified random"]
    whose = stratified.groupby("selection")["like"].unique().map(set).to_dict()
    assert whose == {"raw": set(SCORED), "z": set(SCORED), "quota": {""}}
    sums = submodels.Streamed(
        {(m, c): own for m in SCORED for c, own in scores_of(result, m).items()}, proteins=1
    )
    plan = submodels._submodels(asked, sums)
    for row in plan:
        if row["method"] != "stratified random":
            continue
        for method in [row["like"]] if row["like"] else SCORED:
            chosen = next(
                other["kept"]
                for other in plan
                if other["method"] == method
                and all(other[k] == row[k] for k in ("selection", "fraction"))
            )
            assert counts(chosen) == counts(row["kept"])
        assert where(chosen) != where(row["kept"])


@pytest.mark.long
def test_differences_are_those_of_the_plain_loop(ran):
    model, asked, result = ran
    table, compared = result.tables["submodels"], result.tables["compared"]
    assert len(compared) == 9 * 2 * 2 * 4 * 3
    assert set(compared["against"]) == {"stratified random", "random", "full", "floor"}
    labels = np.array([protein.label for protein in asked.to_test()])

    def judgement(row):
        if row.method == "full":
            return judge(labels, probabilities(model, asked, None).astype(float))
        kept = NeuronSet() if row.method == "floor" else neurons_of(mask_of(result, row))
        change = nl.KeepOnly(kept, components=QKV, **ablated(result, row))
        return judge(labels, probabilities(model, asked, change).astype(float))

    for row in compared[compared["metric"] == "auc"].sample(8, random_state=3).itertuples():
        here = table[table["ablation"] == row.ablation]
        at = here[here["fraction"] == row.fraction]
        chosen = at[(at["method"] == row.method) & (at["selection"] == row.selection)]
        others = {
            "full": table[table["method"] == "full"],
            "floor": here[here["method"] == "floor"],
            "random": at[at["method"] == "random"],
            "stratified random": at[
                (at["method"] == "stratified random")
                & (at["selection"] == row.selection)
                & at["like"].isin([row.method, ""])
            ],
        }[row.against]
        assert len(others) == (2 if "random" in row.against else 1)
        (one,) = chosen.itertuples()
        assert row.difference == pytest.approx(one.auc - others["auc"].mean())
        expected = judgement(one).above([judgement(other) for other in others.itertuples()])[2]
        found = {k: getattr(row, k) for k in ("metric", "difference", "low", "high", "p")}
        assert found == pytest.approx(expected, nan_ok=True)
        assert row.low <= row.difference <= row.high


def test_another_seed_is_a_replication():
    """No draw of one seed is one of another's."""
    sums = submodels.Streamed({("activation", c): own for c, own in SCORES.items()}, proteins=1)
    drawn = []
    for seed in range(3):
        plan = submodels._submodels(
            spec(methods=("activation",), ablations=("zero",), seeds=4, seed=seed), sums
        )
        drawn.append({frozenset(where(row["kept"])) for row in plan if row["method"] == "random"})
    assert [len(own) for own in drawn] == [8] * 3
    assert not any(one & other for one, other in combinations(drawn, 2))


def test_full_floor_and_majority(ran):
    model, asked, result = ran
    numbers, table = result.numbers, result.tables["submodels"]
    assert numbers["full"] == pytest.approx(judged(model, asked, None))
    (full,) = table[table["method"] == "full"].itertuples()
    assert {name: getattr(full, name) for name in NAMES} == numbers["full"]
    for ablation, means in (("zero", {}), ("mean", means_of(result))):
        none = nl.KeepOnly(NeuronSet(), components=QKV, **means)
        assert numbers["floor"][ablation] == pytest.approx(judged(model, asked, none))
        (floor,) = table[
            (table["method"] == "floor") & (table["ablation"] == ablation)
        ].itertuples()
        assert floor.auc == numbers["floor"][ablation]["auc"]
    # 3 of 5 proteins are of class 0.
    labels = [protein.label for protein in asked.to_test()]
    expected = {"accuracy": 1 - np.mean(labels), "f1": 0.0, "auc": 0.5}
    assert numbers["majority"] == pytest.approx(expected)


@pytest.mark.long
def test_the_means_are_those_of_the_scored_proteins(ran):
    model, asked, result = ran
    sums, residues = dict.fromkeys(COMPONENTS, 0.0), 0
    for protein in asked.to_score():
        seen = model.read(model.encode(nl.Prompt(protein.sequence, target=0)))
        residues += len(protein.sequence)
        for c in COMPONENTS:
            sums[c] = sums[c] + np.stack(
                [seen[layer, c][0, 1:-1].double().sum(0).numpy() for layer in range(3)]
            )
    for c in COMPONENTS:
        assert result.arrays[f"mean.{c}"] == pytest.approx(sums[c] / residues, rel=1e-4, abs=1e-6)
        for token in (0, -1):
            each = []
            for protein in asked.to_score():
                seen = model.read(model.encode(nl.Prompt(protein.sequence, target=0)))
                each.append([seen[layer, c][0, token].numpy() for layer in range(3)])
            found = result.arrays[f"mean{token}.{c}"]
            assert found == pytest.approx(np.mean(each, 0), rel=1e-4, abs=1e-6)


@pytest.mark.long
def test_the_scores_are_those_of_the_scored_proteins(ran):
    model, asked, result = ran
    each = [
        nl.attribute(
            model,
            nl.Prompt(protein.sequence, target=protein.label),
            objective="logit",
            positions="all",
            baseline="input",
            components=asked.components,
            tolerance=TOLERANCE,
        )
        for protein in asked.to_score()
    ]
    for c in asked.components:
        expected = np.mean([np.abs(own[c]) for own in each], 0)
        found = result.arrays[f"integrated_gradients.{c}"]
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    states = {name.split(".")[0] for name in result.arrays if name.startswith("state")}
    assert states == {"state_H", "state_E", "state_C"}


@pytest.mark.long
def test_scores_never_see_the_test_proteins(model, tmp_path):
    asked = spec(**QUICK)
    found, sides = asked.parts()
    others = list(found)
    for i, protein in enumerate(proteins(seed=1)):
        if i in sides.test:
            others[i] = replace(protein, label=found[i].label)
    changed = spec(**QUICK, own=tuple(others))
    assert changed.parts()[1].test.tolist() == sides.test.tolist()
    one, other = run(model, asked, tmp_path), run(model, changed, tmp_path)
    assert one.arrays.keys() == other.arrays.keys()
    for name, own in one.arrays.items():
        assert (own == other.arrays[name]).all()
    assert not one.tables["single"].equals(other.tables["single"])
    # And judging never sees those that were scored.
    rest = list(found)
    for i, protein in enumerate(proteins(seed=2)):
        if i not in sides.test:
            rest[i] = replace(protein, label=found[i].label)
    third = run(model, spec(**QUICK, own=tuple(rest)), tmp_path)
    assert third.numbers["full"] == one.numbers["full"]
    assert any((own != third.arrays[name]).any() for name, own in one.arrays.items())


@pytest.mark.long
def test_shards_that_are_stored_are_not_scored_again(model, tmp_path, monkeypatch):
    asked, store = spec(**QUICK, scored=25), Store(tmp_path)
    assert STUDY.shards(asked, context_with(model)) == [0, 10, 20]
    scored = []
    usual = submodels.score

    def score(model, proteins, *others):
        scored.append(len(proteins))
        if len(scored) == 3:
            raise RuntimeError("the power fails")
        return usual(model, proteins, *others)

    monkeypatch.setattr(submodels, "score", score)
    with pytest.raises(RuntimeError, match="power"):
        run_study(STUDY, asked, store, context_with(model))
    assert scored == [10, 10, 5]
    resumed = run_study(STUDY, asked, store, context_with(model))
    assert scored == [10, 10, 5, 5]
    monkeypatch.undo()
    whole = run(model, asked, tmp_path / "other")
    assert resumed.numbers == whole.numbers
    for name, own in whole.arrays.items():
        assert resumed.arrays[name] == pytest.approx(own, rel=1e-6)
    assert resumed.tables["submodels"].equals(whole.tables["submodels"])


def test_previews_say_where_the_best_neurons_of_the_first_proteins_are(model, tmp_path):
    asked = spec(**QUICK | {"methods": ("activation", "gradient_x_activation"), "scored": 12})
    result, previews = watched(model, asked, tmp_path)
    assert [each.words for each in previews] == [f"{i} of 2 portions of proteins" for i in (1, 2)]
    first, last = (each.result for each in previews)
    assert first.numbers["scored"] == 10
    for name, scores in last.arrays.items():  # all are scored, none is judged
        np.testing.assert_array_equal(scores, result.arrays[name])
    for name, table in last.tables.items():
        pd.testing.assert_frame_equal(table, result.tables[name])
    each = [
        nl.attribute(
            model,
            nl.Prompt(protein.sequence, target=protein.label),
            method="gradient_x_activation",
            objective="logit",
            positions="all",
            components=("key",),
        )["key"]
        for protein in asked.to_score()[:10]
    ]
    expected = np.mean(np.abs(each), 0)
    scores = first.arrays["gradient_x_activation.key"]
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_progress_never_falls_and_ends_at_the_end(model, tmp_path):
    heard = []
    run(model, spec(**QUICK), tmp_path, on_progress=lambda fraction, words: heard.append(fraction))
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1.0)


# --- Tables beside it ----------------------------------------------------------------------------


def test_shares_are_where_the_kept_neurons_are(ran):
    _, _, result = ran
    table = result.tables["shares"]
    ways = ["method", "selection", "seed", "fraction"]
    assert set(table["method"]) == {*SCORED, "random"}
    assert not table.duplicated([*ways, "component", "layer"]).any()
    for (method, selection, _, fraction), own in table.groupby(ways):
        assert own["share"].sum() == pytest.approx(1.0)
        assert len(own) == 9
        assert own["kept"].sum() == (
            9 * int(fraction * 32) if selection == "quota" else int(fraction * 288)
        )
        assert own["density"].to_numpy() == pytest.approx(own["kept"] / 32)
        if method in SCORED:
            mask = select(scores_of(result, method), fraction, selection)
            kept = {(r.component, r.layer): r.kept for r in own.itertuples()}
            assert kept == {(c, i): int(mask[c][i].sum()) for c in QKV for i in range(3)}
    quota = table[table["selection"] == "quota"]
    assert quota["share"].to_numpy() == pytest.approx(1 / 9)


def test_agreement_by_hand(ran):
    _, asked, result = ran
    table = result.tables["agreement"].set_index(["a", "b", "component", "fraction"])
    assert len(table) == 3 * 3 * 2
    for a, b in combinations(SCORED, 2):
        one, other = scores_of(result, a), scores_of(result, b)
        for c in QKV:
            ranks = [rankdata(own[c].ravel()) for own in (one, other)]
            spearman = np.corrcoef(*ranks)[0, 1]
            for fraction in asked.fractions:
                row = table.loc[a, b, c, fraction]
                assert row["spearman"] == pytest.approx(spearman)
                kept = [
                    {place for place in where(select(own, fraction, "raw")) if place[0] == c}
                    for own in (one, other)
                ]
                jaccard = len(kept[0] & kept[1]) / len(kept[0] | kept[1])
                assert row["jaccard"] == pytest.approx(jaccard)


@pytest.mark.long
def test_only_one_component_off_at_equal_budget(ran):
    model, asked, result = ran
    table = result.tables["only"]
    assert len(table) == 2 * 3 * (1 + 2)
    assert table.groupby("budget")["neurons"].unique().map(list).to_dict() == {0.1: [9], 0.5: [48]}
    assert set(table["choice"]) == {"integrated_gradients", "random"}
    scores = scores_of(result, "integrated_gradients")
    compared = result.tables["only_compared"]
    assert len(compared) == 2 * 3 * 2 * 3
    labels = np.array([protein.label for protein in asked.to_test()])
    full = judge(labels, probabilities(model, asked, None).astype(float))
    for (component, budget), rows in table.groupby(["component", "budget"]):
        best = np.argsort(-scores[component].ravel())[: rows["neurons"].iloc[0]]
        mask = {component: np.zeros((3, 32), bool)}
        mask[component].ravel()[best] = True
        judgements = {}
        for row in rows.itertuples():
            off = mask
            if row.choice == "random":
                seed = statistics.seeds(asked.seed, 2)[row.seed]
                off = random_mask({component: scores[component]}, budget, seed, mask)
                assert counts(off) == counts(mask)
            change = nl.Suppress(neurons_of(off))
            expected = judged(model, asked, change)
            assert {name: getattr(row, name) for name in NAMES} == pytest.approx(expected)
            p = probabilities(model, asked, change).astype(float)
            judgements[row.choice, row.seed] = judge(labels, p)
        one = judgements.pop(("integrated_gradients", 0))
        for against, others in (("random", [*judgements.values()]), ("full", [full])):
            here = compared[
                (compared["component"] == component)
                & (compared["budget"] == budget)
                & (compared["against"] == against)
            ]
            expected = pd.DataFrame(one.above(others))
            pd.testing.assert_frame_equal(
                here[expected.columns].reset_index(drop=True), expected, atol=1e-9
            )


def test_one_at_a_time_and_together(ran):
    model, asked, result = ran
    table = result.tables["single"]
    scores = scores_of(result, "integrated_gradients")
    flat = sorted(
        (
            (float(own[i, j]), i, c, j)
            for c, own in scores.items()
            for i, j in np.ndindex(own.shape)
        ),
        key=lambda each: -each[0],
    )[:4]
    assert table[["layer", "component", "neuron"]].values.tolist() == [list(n[1:]) for n in flat]
    assert table["score"].to_numpy() == pytest.approx([n[0] for n in flat])
    assert table["rank"].tolist() == [1, 2, 3, 4]

    def change(neurons):
        changes = []
        for protein in asked.to_test():
            prompt = nl.Prompt(protein.sequence, target=protein.label)
            off = nl.predict(model, prompt, intervention=nl.Suppress(NeuronSet(neurons)))
            changes.append(off.log_probability - nl.predict(model, prompt).log_probability)
        return np.mean(changes)

    places = [n[1:] for n in flat]
    alone = [change([place]) for place in places]
    together = [change(places[: r + 1]) for r in range(4)]
    assert table["alone"].to_numpy() == pytest.approx(alone, abs=2e-6)
    assert table["together"].to_numpy() == pytest.approx(together, abs=2e-6)
    assert table["sum"].to_numpy() == pytest.approx(np.cumsum(alone), abs=8e-6)
    assert table["alone"][0] == pytest.approx(table["together"][0])


# --- Which proteins ------------------------------------------------------------------------------


def test_no_protein_is_on_two_sides():
    again = tuple(replace(p, name=f"again {p.name}") for p in OWN[:20])
    asked = spec(own=(*OWN, *again), scored=1000)
    scored, tested = ({p.sequence for p in own} for own in (asked.to_score(), asked.to_test()))
    assert not scored & tested
    assert len(asked.to_score()) + len(asked.to_test()) == 60
    _, sides = asked.parts()
    assert sorted([*sides.train, *sides.validation, *sides.test]) == list(range(60))


def test_as_many_of_each_class_are_drawn():
    asked = spec(scored=10, tested=8)
    for own, count in ((asked.to_score(), 10), (asked.to_test(), 8)):
        assert len(own) == len(set(own)) == count
        assert sum(p.label for p in own) == count // 2
    assert asked.to_score() == asked.to_score()
    assert asked.to_score() != spec(scored=10, tested=8, seed=1).to_score()
    # One class runs out: the other fills up.
    assert [p.label for p in spec(scored=26).to_score()].count(1) == 11


def test_single_neurons_are_judged_on_both_classes(model, tmp_path, monkeypatch):
    """Also where all test proteins are taken, in an order of classes, as files have them."""
    monkeypatch.setattr(submodels, "SINGLE_ON", 6)
    ordered = tuple(sorted(OWN, key=lambda protein: protein.label))
    seen = []
    usual = submodels._single

    def single(spec, model, sums, encoded, context):
        seen.extend(e.target for e in encoded)
        return usual(spec, model, sums, encoded, context)

    monkeypatch.setattr(submodels, "_single", single)
    run(model, spec(**QUICK | {"own": ordered, "tested": None}), tmp_path)
    assert len(seen) == 6
    assert set(seen) == {0, 1}


# --- Specs and what cannot be --------------------------------------------------------------------


def test_a_spec_goes_through_its_json():
    again = read_spec(spec().to_json(), {"submodels": SubmodelsSpec})
    assert again == spec()
    assert again.key == spec().key
    assert spec(fractions=(0.1, 0.5, 0.1)).key == spec().key
    assert spec(components=("value", "query", "key")).key == spec().key
    assert spec(methods=SCORED[::-1]).key == spec().key


@pytest.mark.parametrize(
    "wrong",
    [
        {"fractions": ()},
        {"fractions": (1.5,)},
        {"fractions": (0.0,)},
        {"methods": ()},
        {"methods": ("amig",)},
        {"components": ()},
        {"components": ("attention",)},
        {"selections": ("best",)},
        {"seeds": 0},
        {"singles": 1},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        spec(**wrong)


@pytest.mark.parametrize("none", ["selections", "ablations"])
def test_no_selection_and_no_ablation_are_refused(none):
    with pytest.raises(ValidationError):
        spec(**{none: ()})


def test_other_models_are_one_sentence(tiny, tmp_path, sentence):
    for other in (tiny("esm", "masked"), tiny("bert", "classifier"), tiny("llama")):
        sentence(run, other, spec(**QUICK), tmp_path, says="protein classifier")
    three = tiny("esm", "classifier")
    sentence(run, three, spec(**QUICK), tmp_path, says=["3 classes", "have 2"])


def test_more_methods_and_fractions_take_longer(model):
    little, more_seeds, more_methods = (
        STUDY.cost(spec(**QUICK | more), context_with(model)).seconds
        for more in ({}, {"seeds": 30}, {"methods": SCORED})
    )
    assert 0 < little < min(more_seeds, more_methods)
