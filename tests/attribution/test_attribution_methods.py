"""The other methods, the table of tokens, the provenance, and two people at once."""

import threading

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.models import COMPONENTS
from neuronlab.neurons import NeuronSet

METHODS = ("integrated_gradients", "gradient_x_activation", "activation", "random")
DIRECT = (
    "log_probability_increase",
    "log_probability",
    "probability_increase",
    "norm",
    "coefficient",
    "rank",
    "coefficient_norm",
    "coefficient_rank",
)


@pytest.mark.parametrize("objective", ["probability", "log_probability", "logit"])
@pytest.mark.parametrize("positions", ["predicted", "all"])
def test_gradient_x_activation_against_finite_differences(
    model, asked, twin, oracle, positions, objective
):
    """Central differences in float64: nudge one neuron at one token, run the whole model."""
    encoded = model.encode(asked(model))
    exact, ids = twin(model, torch.float64).hf, encoded.input_ids
    scores = nl.attribute(
        model,
        asked(model),
        method="gradient_x_activation",
        positions=positions,
        objective=objective,
    )
    # Some modules compute their norms in float32 whatever the weights: no smaller step, and a
    # rule of fourth order instead.
    step, weights = 5e-3, {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}
    tokens = list(range(ids.shape[1])) if positions == "all" else [encoded.position]
    neuron = 5
    for layer, component in ((0, "query"), (0, "ffn"), (1, "key"), (2, "value"), (2, "ffn")):
        clean = oracle.neurons(exact, ids, layer, component)[0, :, neuron]
        nudges = torch.zeros(len(tokens), len(weights), ids.shape[1], dtype=torch.float64)
        for row, token in enumerate(tokens):
            nudges[row, :, token] = step * torch.tensor(list(weights))
        nudges = nudges.flatten(0, 1)

        def nudged(neurons, nudges=nudges):
            changed = neurons.clone()
            changed[..., neuron] = neurons[..., neuron] + nudges
            return changed

        with torch.no_grad(), oracle.hooked(exact, layer, component, nudged):
            logits = oracle.logits(exact, ids.expand(len(nudges), -1), encoded.position)
        values = oracle.explained(logits, encoded.target, objective).view(len(tokens), -1)
        slopes = values @ torch.tensor(list(weights.values())).to(values) / step
        expected = float((slopes * clean[tokens]).sum())
        score = float(scores[component][layer, neuron])
        scale = float(abs(scores[component][layer]).max())
        assert score == pytest.approx(expected, rel=5e-3, abs=3e-3 * scale)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("positions", ["predicted", "all"])
def test_gradient_x_activation_is_integrated_gradients_where_the_path_is_straight(
    tiny, asked, twin, name, positions
):
    """Without the final norm the last FFN's neurons enter a logit as they are; earlier ones bend.

    So the objective is a straight line along the path of these neurons from zero, and its slope at
    the end is its slope everywhere.
    """
    model = twin(tiny(name))
    body = model.hf.base_model
    norm = next(n for n in ("norm", "ln_f", "final_layer_norm") if hasattr(body, n))
    setattr(body, norm, torch.nn.Identity())
    by_gradient, by_path = (
        nl.attribute(
            model,
            asked(model),
            method=method,
            positions=positions,
            objective="logit",
            components=("ffn",),
            tolerance=1e-4,
        )
        for method in ("gradient_x_activation", "integrated_gradients")
    )
    scale = abs(by_path["ffn"]).max(1)
    assert scale.min() > 0.01
    far = abs(by_gradient["ffn"] - by_path["ffn"]).max(1) / scale
    assert far[-1] < 1e-4
    assert far[:-1].min() > 0.01
    assert by_path.quality.iloc[-1]["gradient_r"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("positions", ["predicted", "all"])
def test_activation_is_the_magnitude_of_what_is_read(model, asked, oracle, positions):
    encoded = model.encode(asked(model))
    scores = nl.attribute(model, asked(model), method="activation", positions=positions)
    for layer in range(model.layers):
        for component in COMPONENTS:
            neurons = oracle.neurons(model.hf, encoded.input_ids, layer, component)[0].abs()
            at = encoded.position
            expected = neurons.sum(0) if positions == "all" else neurons[at]
            assert np.allclose(scores[component][layer], expected.numpy(), atol=1e-5)


def test_random_scores_are_decided_by_the_seed(tiny, asked):
    model = tiny("llama")

    def draw(seed):
        return nl.attribute(model, asked(model), method="random", seed=seed)

    first, again, other = draw(3), draw(3), draw(4)
    for component in COMPONENTS:
        assert (first[component] == again[component]).all()
        assert (first[component] != other[component]).mean() > 0.99
        assert first[component].min() >= 0
        assert first[component].max() <= 1
        assert first[component].std() > 0.2  # uniform, not constant


@pytest.mark.parametrize("method", METHODS)
def test_tokens_sum_to_the_score(model, asked, method):
    scores = nl.attribute(model, asked(model), method=method, positions="all")
    length = len(scores.provenance["tokens"])
    table = scores.tokens
    assert list(table.columns) == ["layer", "component", "neuron", *map(str, range(length))]
    assert len(table) == 200
    for layer, component, neuron, *tokens in table.itertuples(index=False):
        expected = float(scores[component][layer, neuron])
        assert sum(tokens) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    best = scores.top(200, magnitude=True)
    assert list(best["neuron"]) == list(table["neuron"])


@pytest.mark.parametrize("method", METHODS)
def test_only_the_predicted_position_needs_no_table(tiny, asked, method):
    model = tiny("llama")
    scores = nl.attribute(model, asked(model), method=method)
    assert scores.tokens.empty
    for component in COMPONENTS:
        assert scores[component].shape == (3, model.sizes[component])
        assert scores[component].dtype == np.float32
        assert np.isfinite(scores[component]).all()


def test_in_a_causal_model_the_last_token_scores_the_same_alone_or_among_all(tiny, asked):
    """gradient x activation is local to each token, so the column of the last token must agree."""
    model = tiny("llama")
    alone = nl.attribute(model, asked(model), method="gradient_x_activation")
    among = nl.attribute(model, asked(model), method="gradient_x_activation", positions="all")
    last = str(len(among.provenance["tokens"]) - 1)
    for row in among.tokens.to_dict("records"):
        expected = alone[row["component"]][row["layer"], row["neuron"]]
        assert row[last] == pytest.approx(float(expected), rel=1e-4, abs=1e-7)


def test_scores_say_where_they_come_from(tiny, asked):
    model = tiny("llama")
    provenance = nl.attribute(model, asked(model), objective="logit", positions="all").provenance
    assert provenance["model"] == "tiny-llama"
    assert provenance["revision"] == "test"
    assert provenance["prompt"] == asked(model).text
    assert provenance["target_label"] == "France"
    assert provenance["position"] == 7
    assert len(provenance["tokens"]) == 8
    assert provenance["settings"]["method"] == "integrated_gradients"
    assert provenance["settings"]["objective"] == "logit"
    assert provenance["settings"]["positions"] == "all"
    assert set(provenance["versions"]) == {"torch", "transformers"}


def test_what_is_not_possible(tiny, asked, sentence, without_type_checks):
    model = tiny("llama")
    prompt = asked(model)
    sentence(nl.attribute, model, prompt, method="magic", says=["'magic'", *METHODS, *DIRECT])
    sentence(nl.attribute, model, prompt, components=("mlp",), says=["'mlp'", *COMPONENTS])
    sentence(nl.attribute, model, prompt, components=(), says=COMPONENTS)
    sentence(
        nl.attribute,
        model,
        prompt,
        method="activation",
        engine="captum",
        says=["captum", "fast"],
    )


def test_the_methods_are_listed_with_what_they_need_and_cost():
    table = nl.methods()
    assert {*METHODS, "amig", *DIRECT} <= set(table["name"])
    assert table["name"].is_unique
    for column in ("title", "paper", "needs", "cost", "engines"):
        assert table[column].str.len().gt(0).all()


# --- Several people at once ----------------------------------------------------------------------


@pytest.mark.long
def test_two_threads_do_not_disturb_each_other(tiny, asked):
    """One attributes while the other suppresses neurons of the same model."""
    for name in ("llama", "gemma3_text", "gpt2"):
        model = tiny(name)
        prompt = asked(model)
        chosen = NeuronSet([(la, "ffn", i) for la in range(3) for i in range(24)])
        jobs = [
            lambda model=model, prompt=prompt: nl.attribute(model, prompt)["ffn"],
            lambda model=model, prompt=prompt, chosen=chosen: nl.predict(
                model, prompt, intervention=nl.Suppress(chosen)
            ).logits.numpy(),
            lambda model=model, prompt=prompt: nl.attribute(
                model, prompt, method="activation", positions="all"
            )["ffn"],
            lambda model=model, prompt=prompt: nl.predict(model, prompt).logits.numpy(),
        ]
        alone = [job() for job in jobs]
        together = [[] for _ in jobs]
        start = threading.Barrier(len(jobs))

        def repeat(job, results, start=start):
            start.wait()
            try:
                for _ in range(4):
                    results.append(job())
            except Exception as error:
                results.append(error)

        threads = [
            threading.Thread(target=repeat, args=pair) for pair in zip(jobs, together, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        for expected, results in zip(alone, together, strict=True):
            assert len(results) == 4
            for result in results:
                assert not isinstance(result, Exception), result
                # Threads may split a sum differently, and a path may get one more node.
                assert np.allclose(result, expected, atol=1e-3 * abs(expected).max())


# --- Real models ---------------------------------------------------------------------------------


def test_a_run_that_does_not_fit_is_refused(tiny, asked, sentence, monkeypatch):
    model = tiny("llama")
    monkeypatch.setattr("neuronlab.attribution.estimate.free_memory", lambda device: 10_000)
    says = ["are free on cpu", "shorten the prompt"]
    for method in ("integrated_gradients", "gradient_x_activation"):
        sentence(nl.attribute, model, asked(model), method=method, positions="all", says=says)
    nl.attribute(model, asked(model), method="activation")


def test_the_capital_of_france(smollm):
    """The example the app opens on: the top neurons matter, random ones like them do not."""
    prompt = nl.Prompt("The capital of France is", target=" Paris")
    scores = nl.attribute(smollm, prompt, components=("ffn",))
    assert scores["ffn"].shape == (30, 1536)
    chosen = scores.select(top=10)
    controls = [chosen.matched_random(smollm.sizes, seed) for seed in range(5)]
    sets = [None, *map(nl.Suppress, (chosen, *controls))]
    before, after, *random = [p.probability for p in nl.predict_many(smollm, prompt, sets)]
    assert before == pytest.approx(0.77, abs=0.02)
    assert after < 0.2 * before
    assert min(random) > 0.8 * before
    errors = scores.quality.error / abs(scores["ffn"]).sum(1)
    assert errors.max() <= 0.05


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_activation"])
def test_protein_models(antiberty, hemopi, method):
    heavy = "EVQLVESGGGLVQPGGSLRLSCAASGFNIKDTYIHWVRQAPGKGLEWVAR"
    prompts = {
        antiberty: nl.Prompt(heavy, target="C", mask=heavy.index("CAAS")),
        hemopi: nl.Prompt("GIGAVLKVLTTGLPALISWIKRKRQQ", target=1),
    }
    for model, prompt in prompts.items():
        scores = nl.attribute(model, prompt, method=method, components=("ffn",))
        chosen = scores.select(top=20)
        before, after, random = nl.predict_many(
            model,
            prompt,
            [None, nl.Suppress(chosen), nl.Suppress(chosen.matched_random(model.sizes, 0))],
        )
        assert before.probability > 0.5
        assert after.probability < before.probability
        assert before.probability - after.probability > 3 * abs(
            before.probability - random.probability
        )
