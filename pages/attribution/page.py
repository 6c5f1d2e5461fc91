"""Which neurons made it say that? Attribution of one prediction, and the proof by intervention."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import streamlit as st

from neuronlab.attribution import method
from neuronlab.cli.same_call import attribute_command, attribute_python
from neuronlab.figures.charts import predictions, visible
from neuronlab.models import Model
from neuronlab.neurons import NeuronScores, NeuronSet
from neuronlab.neurons.activity import per_residue
from neuronlab.neurons.effect import WRITTEN, percent
from neuronlab.runs import Result
from neuronlab.steering.quality import conservation
from neuronlab.studies.attribution import AttributionSpec, mean_error, mean_gap, scores_of
from neuronlab.studies.bases.one_prompt import control_in, judged_in, proof_in
from neuronlab.verdicts import additivity, confidence, domain, precision
from neuronlab.widgets import (
    badges,
    bystanders,
    exports,
    intervention,
    links,
    model_fetch,
    neuron_card,
    neuron_maps,
    prompt_form,
    runs,
    sections,
    services,
    shown,
    state,
    structure,
)
from neuronlab.widgets.guard import guard, plain
from pages.attribution import mutations, tokens

T = TypeVar("T")
# Of models that fill in residues.
VIEWS = {"attribution": "One residue", "mutations": "Every mutation"}


def main() -> None:
    if not model_fetch.ready(state.model_name()):
        return
    model = services.model(state.model_name(), state.device())
    fills_in = model.kind == "masked" and model.alphabet == "protein"
    if fills_in and sections.view(VIEWS) == mutations.STUDY:
        mutations.draw(model)
        return
    of_others = {mutations.STUDY: VIEWS[mutations.STUDY]}
    sections.left_out(of_others, "models that fill in residues, such as ESM-2 8M")
    spec = prompt_form.draw(model)
    if st.session_state.pop("asked", False) and spec is not None:  # by a click on the other view
        runs.submit(spec, state.device())
        links.show(spec.key, spec.study)
    shown.study(
        "attribution", model, spec, partial(results, model), preview=partial(preview, model)
    )


def preview(model: Model, spec: AttributionSpec, result: Result) -> None:
    """What a single pass says, while the method's own scores are computed."""
    scores = scores_of(result)
    neuron_maps.start(scores, preview=True)
    st.markdown(prediction(result.numbers))
    if trusted(model, spec, result, scores):
        sentence(model, result, lambda: tokens.uncoloured(model, spec))
        neuron_maps.draw(scores)


def sentence(model: Model, result: Result, strip: Callable[[], T]) -> T:
    """The prompt as tokens, which ``strip`` draws, and beside a text what the model says next."""
    if model.alphabet == "text":
        left, right = st.columns([3, 2], gap="large")
    else:  # residues need the width
        left, right = st.container(), st.expander("The model's first choices")
    with right:
        table = result.tables["predictions"]
        exports.chart(
            predictions(table, int(result.numbers["target"])),
            table,
            "predictions",
            "Bars: the ten most probable choices.",
        )
    with left:
        return strip()


def results(model: Model, spec: AttributionSpec, result: Result) -> None:
    """Everything a finished run shows."""
    scores = scores_of(result)
    neuron_maps.start(scores)
    prompt = spec.prompt
    headline(result)
    specificity = st.empty()  # it takes a second or two: the rest of the page comes first
    if not trusted(model, spec, result, scores):
        return
    at_token = sentence(model, result, lambda: tokens.draw(model, spec, result, scores))
    left, right = neuron_card.columns()
    with left:
        neuron_maps.draw(at_token)
        neuron_maps.ranked(at_token)
    with right:
        neuron_card.draw(model, prompt, neuron_maps.chosen(), at_token)
    asked = replace(prompt, target=int(result.numbers["target"]))
    proof = proof_in(result, scores)
    prove = partial(intervention.draw, model, asked, {"Top neurons": scores}, proof)
    parts = {"Proof": partial(prove, in_headline=True)}
    if model.alphabet == "protein":
        parts["3D structure"] = partial(on_structure, model, prompt.text, result)
    if {"where", "quality"} & {*result.tables} or result.numbers.get("certified"):
        parts["Completeness"] = partial(completeness, model, spec, result, scores.layer_names)
    sections.draw(parts)
    with specificity, guard():
        bystanders.headline(model, asked, proof[0])
    exports.share(spec.key, attribute_python(spec), attribute_command(spec))  # reports have it all


def trusted(model: Model, spec: AttributionSpec, result: Result, scores: NeuronScores) -> bool:
    """The badges of a result, and whether its maps may be shown."""
    return badges.draw(
        domain(model.name, spec.text, model.alphabet),
        confidence(result.numbers["probability"]),
        precision(mean_error(scores)),
        additivity(mean_gap(scores), continuous=model.family.continuous),
    )


def prediction(numbers: Mapping[str, Any]) -> str:
    """How probable the target is, its rank, and how it stands against a foil."""
    label = f"**{plain(visible(numbers['target_label']))}**"
    first = f"{label} has {percent(numbers['probability'])} (rank {numbers['rank']:,})."
    if judged_in(numbers) == "probability":
        return first
    foil = plain(visible(numbers["foil_label"]))
    return f"{first} {label} against **{foil}**: log-odds {numbers['log_odds']:+.2f}."


def headline(result: Result) -> None:
    """The result in one line."""
    n = result.numbers
    measure = judged_in(n)
    written = WRITTEN[measure]
    words, mean, sd = control_in(n)
    spread = percent(sd) if measure == "probability" else f"{sd:.2f}"
    exports.finding(
        "headline",
        "What was found",
        f"{prediction(n)} Without its {n['suppressed']} top neurons: "
        f"**{written(n[f'{measure}_suppressed'])}**. Without as many "
        f"{words}: {written(mean)} ± {spread}.",
    )
    if n.get("note"):
        st.caption(plain(n["note"]))
    if n.get("subtracted"):
        names = ", ".join(map(str, n["subtracted"]))
        st.caption(plain(f"Specific scores: less their mean over {names}."))


def completeness(
    model: Model, spec: AttributionSpec, result: Result, layer_names: Sequence[str]
) -> None:
    """What the scores leave out, by the tokens they are of and by their method."""
    where(model, spec, result)
    quality(result, layer_names)


def where(model: Model, spec: AttributionSpec, result: Result) -> None:
    """What a causal model's scores of the last token leave out, and how to have them."""
    words = neuron_maps.both_views(result)
    if not words:
        return
    st.caption(words)
    if spec.positions == "all" or not method(spec.method).everywhere:
        return
    everywhere = spec.model_copy(update={"positions": "all"})
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Score all tokens", icon=":material/width_full:"):
            prompt_form.fill(everywhere.model_dump())
            runs.submit(everywhere, state.device())
            links.show(everywhere.key, everywhere.study)
            st.rerun()
        st.caption(shown.cost(everywhere))
    exports.tables(
        result.tables["where"], "where", label="By component: table and files", corner=False
    )


def quality(result: Result, layer_names: Sequence[str]) -> None:
    """The method's own error estimate, or how far its ranking is proven."""
    if result.numbers.get("certified"):
        st.caption(
            f"The ranking is exact for the {result.numbers['certified']} best neurons: proven. The "
            "others show an upper bound of their score, also in the maps."
        )
    if "quality" not in result.tables:
        return
    table = result.tables["quality"]
    worst = table.loc[table["gap"].idxmax()]
    st.caption(
        f"Completeness: the largest gap of a layer is {worst['gap']:.2g} (layer "
        f"{layer_names[worst['layer']]}, {worst['component']}), where its scores sum to "
        f"{worst['total']:.3g} instead of {worst['expected']:.3g}. The largest error estimated for "
        f"a single layer is {result.numbers['largest_error']:.1%} of its scores' absolute sum; the "
        "badge is of all layers together. "
        f"{int(table['nodes'].sum()):,} nodes in all."
    )
    # The path of a value is nearly straight in every model.
    rest = table[table["component"] != "value"]
    if "gradient_r" in rest and len(rest) and rest["gradient_r"].median() > 0.98:
        st.info(
            "On this model the path from the baseline says little more than the gradient: a norm "
            "hides how large the neurons are until they are nearly zero. The scores correlate "
            f"{rest['gradient_r'].median():.3f} (median over layers) with gradient x activation, "
            "which takes a single pass.",
            icon=":material/info:",
        )
    exports.tables(table, "completeness", label="Completeness: table and files", corner=False)


def on_structure(model: Model, text: str, result: Result) -> None:
    """The protein in 3D, by scores, by the activation of neurons, and by what the model expects."""
    neuron, basket = neuron_maps.chosen(), state.basket()
    colours = {}
    if "token_totals" in result.tables:
        totals = result.tables["token_totals"].drop(columns=["token", "text"])
        colours["score"] = structure.Colour(
            "score", lambda: totals.sum(axis=1).to_numpy()[model.residues_at]
        )
    colours["activation"] = structure.Colour(
        f"activation of {neuron}", lambda: per_residue(model, text, NeuronSet([neuron]))
    )
    if len(basket):
        colours["basket"] = structure.Colour(
            f"mean activation of the basket ({len(basket)})",
            lambda: per_residue(model, text, basket),
        )
    if model.kind == "masked":
        for at, title in enumerate(
            (
                "p of the residue when hidden",
                "conservation: bits that the model knows of a hidden residue",
            )
        ):
            colours[f"conservation_{at}"] = structure.Colour(
                title, partial(_conservation, model, model.name, model.revision, text, at)
            )
    structure.draw(text, colours, "attributed", linked="attributed")


@st.cache_data(max_entries=16, show_spinner="Hiding each residue in turn")
def _conservation(_model: Model, name: str, revision: str, text: str, at: int) -> np.ndarray:
    return conservation(_model, text)[at]


main()
