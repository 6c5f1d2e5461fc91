"""Score the neurons of a model for one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.amig import blank_token, mean_baseline
from neuronlab.attribution.estimate import check_memory
from neuronlab.attribution.registry import Baseline, Engine, Method
from neuronlab.attribution.registry import method as method_named
from neuronlab.attribution.request import (
    TOLERANCE,
    At,
    Attribution,
    Objective,
    Positions,
    Request,
    Variant,
)
from neuronlab.errors import UserError
from neuronlab.models import ALL_COMPONENTS, CROSS, Component, Encoded, Model, Prompt
from neuronlab.neurons import NeuronScores, predict
from neuronlab.progress import Progress, unheard

# Below the finest tolerance float32 rounding is all that more nodes would chase.
FINEST, MOST_STEPS = 1e-4, 1000
# How many neurons keep their score at every token.
KEEP_TOKENS = 200


def attribute(
    model: Model,
    prompt: Prompt,
    *,
    method: str = "integrated_gradients",
    components: Sequence[Component] | None = None,
    objective: Objective = "probability",
    positions: Positions = "predicted",
    baseline: Baseline | Prompt | None = None,
    engine: Engine = "fast",
    tolerance: float = TOLERANCE,
    steps: int = 50,
    seed: int = 0,
    variant: Variant = "sound",
    progress: Progress = unheard,
) -> NeuronScores:
    """How much every neuron of the components matters for the prompt's target.

    Args:
        method: a name from ``methods()``.
        components: which neurons; by default query, key, value and FFN, and an encoder-decoder's
            query, key and value of cross-attention, or those of them that the method can score.
        objective: what is explained: the target's probability, log-probability or logit. Of a
            prompt with a foil it is the difference of the two log-probabilities, whatever is said
            here.
        positions: the neurons at the predicted position, or at all positions (scores are summed
            over them; the top neurons keep their score at each token). An encoder has no predicted
            position: its neurons, and the keys and values that a decoder makes of its states, count
            at all tokens of the text in either case.
        baseline: where the path of integrated gradients begins: all neurons at zero; their
            activations on an uninformative input of the same length ("input": every token
            replaced by the mask, or by the end of text; ESM-2 without its token dropout, which
            would leave nothing of a masked residue); their mean over inputs with one token
            replaced in turn ("mean"); or on a prompt of your own. By default zero, for AMIG mean.
        engine: "fast", or "captum" for the same numbers from the reference implementation.
        tolerance: of the fast engine, see ``Request``.
        steps: nodes per layer of the Captum engine.
        seed: of the random method.
        variant: of AMIG: the sound form, or the authors'.
        progress: called with a fraction and a message; an exception it raises stops the run.

    Raises:
        UserError: the prompt, the method, a component or an engine is not possible, or the run
            does not fit into the free memory.
    """
    chosen = _method(method, engine)
    components = _components(chosen, model, components)
    baseline = chosen.baselines[0] if baseline is None else baseline
    _check_choices(chosen, objective, positions, variant, baseline)
    _check_numbers(tolerance, seed, steps)
    chosen.check_foil(prompt.foil)
    encoded = model.encode(prompt)
    request = Request(
        model=model,
        encoded=encoded,
        target=predict(model, encoded).target if encoded.target is None else encoded.target,
        foil=encoded.foil,
        components=components,
        objective=objective if encoded.foil is None else "log_probability",
        positions=positions,
        baseline=baseline_of(model, encoded, baseline, components) if chosen.integrates else None,
        tolerance=tolerance,
        steps=steps,
        seed=seed,
        variant=variant,
        progress=progress,
    )
    if chosen.differentiates:
        check_memory(request)
    progress(0.0, "starting")
    settings = _settings(chosen, request, engine, baseline)
    provenance = _provenance(prompt, request, settings)
    return _collect(chosen.engines[engine](request), request, provenance)


def _method(name: str, engine: str) -> Method:
    chosen = method_named(name)
    if engine not in chosen.engines:
        there = ", ".join(chosen.engines)
        raise UserError(f"'{name}' has no engine '{engine}'; there is {there}.")
    return chosen


def _components(
    chosen: Method, model: Model, components: Sequence[Component] | None
) -> tuple[Component, ...]:
    """The components to score, each once and in one order."""
    there = [c for c in chosen.components if c in model.sizes]
    if components is None:
        return default_components(chosen, model)
    wrong = [c for c in components if c not in there]
    if wrong or not components:
        problem = "No component is chosen"
        if wrong:
            problem = f"'{wrong[0]}' is no component"
        if wrong and wrong[0] in ALL_COMPONENTS:
            problem += f" of {chosen.title if wrong[0] in model.sizes else model.title}"
        raise UserError(f"{problem}: choose from {', '.join(there)}.")
    return tuple(c for c in ALL_COMPONENTS if c in components)


def default_components(chosen: Method, model: Model) -> tuple[Component, ...]:
    """What a method scores where nothing is said: of a decoder cross-attention's neurons, too."""
    cross = (c for c in CROSS if c in model.sizes and c in chosen.components)
    return (*chosen.default_components, *cross)


def _check_choices(
    chosen: Method,
    objective: Objective,
    positions: Positions,
    variant: Variant,
    baseline: Baseline | Prompt,
) -> None:
    if positions == "all" and not chosen.everywhere:
        raise UserError(f"{chosen.title} scores neurons at the predicted position only.")
    if variant not in chosen.variants:
        raise UserError(f"{chosen.title} has no variant '{variant}'.")
    if not isinstance(baseline, str | Prompt):
        kind = type(baseline).__name__
        raise TypeError(f"A baseline is a name or an nl.Prompt, not a {kind}.")
    if isinstance(baseline, str) and baseline not in chosen.baselines:
        there = ", ".join(chosen.baselines)
        raise UserError(f"{chosen.title} has no baseline '{baseline}': choose from {there}.")
    for name, value, choices in (
        ("objective", objective, get_args(Objective)),
        ("positions", positions, get_args(Positions)),
    ):
        if value not in choices:
            raise UserError(f"'{value}' is no choice of {name}: choose from {', '.join(choices)}.")


def _check_numbers(tolerance: float, seed: int, steps: int) -> None:
    if not FINEST <= tolerance <= 1:
        raise UserError(f"A tolerance is a fraction from {FINEST:g} to 1, not {tolerance}.")
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise UserError(f"A seed is a whole number from 0 on, not {str(seed)[:40]!r}.")
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"Captum takes 1 to {MOST_STEPS} nodes, not {steps}.")


def _settings(
    chosen: Method, request: Request, engine: Engine, baseline: Baseline | Prompt
) -> dict[str, Any]:
    """What decides the scores, as far as the method knows it."""
    return {
        "method": chosen.name,
        "components": list(request.components),
        "positions": request.positions,
        **({"objective": request.objective} if chosen.differentiates else {}),
        **({"engine": engine, "baseline": str(baseline)} if chosen.integrates else {}),
        **({"variant": request.variant} if len(chosen.variants) > 1 else {}),
        **({"seed": request.seed} if chosen.draws else {}),
    }


def _provenance(prompt: Prompt, request: Request, settings: dict[str, Any]) -> dict[str, Any]:
    """Where scores come from."""
    model, encoded = request.model, request.encoded
    return {
        "model": model.name,
        "revision": model.revision,
        "prompt": prompt.text,
        "mask": prompt.mask,
        **({} if prompt.prefix is None else {"prefix": prompt.prefix}),
        "target": request.target,
        "target_label": model.label(request.target),
        **foil_in(model, request.foil),
        "tokens": list(encoded.tokens),
        "position": encoded.position,
        **stacks_in(model),
        "settings": settings,
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }


def stacks_in(model: Model) -> dict[str, Any]:
    """How many layers an encoder and its decoder have, in a result's numbers; of others nothing."""
    stacks = {name: len(layers) for name, layers in model.stacks.items()}
    return {} if len(stacks) == 1 else {"stacks": stacks}


def foil_in(model: Model, foil: int | None) -> dict[str, Any]:
    """A foil in a result's numbers: nothing where there is none, as before there were foils."""
    return {} if foil is None else {"foil": foil, "foil_label": model.label(foil)}


def _collect(
    attribution: Attribution, request: Request, provenance: dict[str, Any]
) -> NeuronScores:
    model, scores_at = request.model, attribution.scores
    sums = {at: scores.sum(0) for at, scores in scores_at.items()}
    arrays = {c: by_layer(model, sums, c).numpy(force=True) for c in request.components}
    scores = NeuronScores(arrays, provenance, certified=attribution.certified)
    if len(attribution.quality):
        scores = replace(scores, quality=scores.named(attribution.quality))
    if request.positions == "predicted":
        return scores
    totals = token_totals(
        request.encoded.tokens,
        {c: at_tokens(request, scores_at, c).nansum((0, 2)) for c in request.components},
    )
    if request.encoded.prefix is not None:
        read = request.encoded.input_ids.shape[1]
        stacks = np.where(totals["token"] < read, *model.stacks)
        totals.insert(totals.columns.get_loc("text") + 1, "stack", stacks)
    tokens = scores.named(_tokens(request, scores_at, scores))
    return replace(scores, tokens=tokens, token_totals=totals)


def by_layer(model: Model, values: Mapping[At, Tensor], component: Component) -> Tensor:
    """The values of a component's places, layer by layer; NaN in layers that do not have it."""
    there = [layer for layer in range(model.layers) if (layer, component) in values]
    if len(there) == model.layers:
        return torch.stack([values[layer, component] for layer in there])
    like = values[there[0], component]
    table = torch.full_like(like, torch.nan).repeat(model.layers, *[1] * like.dim())
    for layer in there:
        table[layer] = values[layer, component]
    return table


def at_tokens(
    request: Request, scores: Mapping[At, Tensor], component: Component
) -> Float[Tensor, "layer token neuron"]:
    """Scores at all tokens of the prompt; 0 at those that have no such neurons.

    Args:
        scores: per place at the tokens that have neurons there.
    """
    count = len(request.encoded.tokens)

    def widened(at: At) -> Tensor:
        wide = scores[at].new_zeros(count, scores[at].shape[1])
        wide[request.model.tokens_at(request.encoded, at)] = scores[at]
        return wide

    places = request.model.places([component])
    return by_layer(request.model, {at: widened(at) for at in places}, component)


def token_totals(
    texts: Sequence[str], sums: Mapping[Component, Float[Tensor, " token"]]
) -> pd.DataFrame:
    """The sums of scores at each token as a table: columns token, text, then one per component."""
    table = pd.DataFrame({"token": range(len(texts)), "text": list(texts)})
    for component, of_component in sums.items():
        table[component] = of_component.numpy(force=True)
    return table


def _tokens(request: Request, by_place: dict[At, Tensor], scores: NeuronScores) -> pd.DataFrame:
    top = scores.top(KEEP_TOKENS, magnitude=True)[["layer", "component", "neuron"]]
    table = np.zeros((len(top), len(request.encoded.tokens)), np.float32)
    for row, (layer, component, neuron) in enumerate(top.itertuples(index=False)):
        at = layer, component
        of_neuron = by_place[at][:, neuron].numpy(force=True)
        table[row, request.model.tokens_at(request.encoded, at)] = of_neuron
    columns = [str(i) for i in range(table.shape[1])]
    return pd.concat([top, pd.DataFrame(table, columns=columns)], axis=1)


def baseline_of(
    model: Model,
    encoded: Encoded,
    baseline: Baseline | Prompt,
    components: Sequence[Component],
) -> dict[At, Tensor] | None:
    """Where the path begins, see ``attribute``; None is all at zero.

    Raises:
        UserError: a prompt of your own has another length.
    """
    if baseline == "zero":
        return None
    if baseline == "mean":
        return mean_baseline(model, encoded, components)
    if isinstance(baseline, Prompt):
        other = model.encode(baseline)
        if _lengths(other) != _lengths(encoded):
            raise UserError("The baseline must have as many tokens as the prompt.")
        return model.read(other, components)
    with model.lock, model.family.reading_masks(model.hf):
        return model.read(_uninformative(model, encoded), components)


def _lengths(encoded: Encoded) -> tuple[int, int]:
    """Of the text and of a prefix."""
    return encoded.input_ids.shape[1], len(encoded.tokens)


def _uninformative(model: Model, encoded: Encoded) -> Encoded:
    """The prompt with every token but the special ones replaced by the mask or end of text."""
    special = encoded.input_ids.new_tensor(model.tokenizer.all_special_ids)
    keep = torch.isin(encoded.input_ids, special)
    ids = torch.where(keep, encoded.input_ids, blank_token(model))
    return replace(encoded, input_ids=ids)
