"""The prompt as tokens: where its scores are, and what is read at one of them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab.attribution.estimate import check_memory
from neuronlab.errors import UserError
from neuronlab.figures.charts import visible
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.figures.report import Part
from neuronlab.figures.tokens import written
from neuronlab.models import Model
from neuronlab.models.prompt import Encoded, Prompt
from neuronlab.neurons import NeuronScores
from neuronlab.runs import Result
from neuronlab.studies.attribution import (
    AttributionSpec,
    ByToken,
    by_token,
    everywhere,
    one_pass,
)
from neuronlab.widgets import exports, neuron_card, neuron_maps, prompt_form, token_strip
from neuronlab.widgets.guard import plain

_SCORE, _ACTIVATION = "score", "activation"


def draw(model: Model, spec: AttributionSpec, result: Result, scores: NeuronScores) -> NeuronScores:
    """The strip of tokens; returns the scores of the token chosen on it, or all of them."""
    encoded = model.encode(spec.prompt)
    at = _chosen(spec, len(encoded.tokens))
    totals, source = _totals(model, spec, result)
    _strip(model, spec, totals, at, source)
    if encoded.prefix is not None:
        prefix = " ".join(map(visible, encoded.tokens[encoded.input_ids.shape[1] :]))
        st.caption(
            plain(f"The last {encoded.prefix.shape[1]}, {prefix}, are what the decoder reads.")
        )
    if at is None:
        if spec.specific:
            source += "They are of this prompt alone, nothing subtracted. "
        one = "residue" if model.alphabet == "protein" else "token"
        st.caption(f"{source}Click a {one} to see the scores at it.")
        return scores
    name = plain(token_strip.name(model, encoded, at))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"Maps and ranking show **{name}** alone, by gradient x activation, from one pass."
        )
        st.button("Show all", icon=":material/close:", on_click=_choose, args=(spec, None))
        _ask_there(model, spec, encoded, at)
    of_all = _one_pass(model, spec, result)
    if of_all is None:
        return scores
    at_token = {c: values[:, at].numpy(force=True) for c, values in of_all.items()}
    one_pass_at = {"settings": {"method": "gradient_x_activation"}, "subtracted": (), "token": at}
    return NeuronScores(at_token, {**scores.provenance, **one_pass_at})


def uncoloured(model: Model, spec: AttributionSpec) -> None:
    """The strip before there are scores of all tokens."""
    token_strip.draw(token_strip.of_prompt(model, spec.prompt, clickable=False), "tokens")


def _chosen(spec: AttributionSpec, count: int) -> int | None:
    """The token that this session looks at, of a run's; None where it looks at all."""
    key, at = st.session_state.get("token", ("", None))
    return at if key == spec.key and at is not None and at < count else None


def _choose(spec: AttributionSpec, at: int | None) -> None:
    st.session_state["token"] = spec.key, at


def _strip(
    model: Model, spec: AttributionSpec, totals: pd.DataFrame, at: int | None, source: str
) -> None:
    neuron = neuron_maps.chosen()
    activation = (
        f"activation of {model.layer_names[neuron.layer]}.{neuron.component}.{neuron.index}"
    )
    names = [c for c in COMPONENT_NAMES if c in totals]
    with st.container(horizontal=True):
        colour = st.segmented_control(
            "Colour",
            [_SCORE, _ACTIVATION] if names else [_ACTIVATION],
            default=_SCORE if names else _ACTIVATION,
            format_func={_SCORE: "score", _ACTIVATION: activation}.__getitem__,
            key="strip_colour",
            label_visibility="collapsed",
            required=True,
        )
        components = names
        if colour == _SCORE and len(names) > 1:
            components = st.pills(
                "Components",
                names,
                selection_mode="multi",
                default=names,
                format_func=COMPONENT_NAMES.__getitem__,
                key=f"token_components_{'_'.join(names)}",  # all of them, whatever others are of
                label_visibility="collapsed",
                wrap=True,
            )
    if colour == _SCORE:
        values, what = totals[list(components)].sum(axis=1).tolist(), "score"
        ends = ("against", "for")
    else:
        values = neuron_card.activations(model, spec.prompt, neuron)
        what, ends = activation, ("negative", "positive")
    data = token_strip.of_prompt(
        model, spec.prompt, values, what, chosen=at, linked="attributed", legend=ends
    )
    token_strip.draw(data, "tokens", lambda place: _choose(spec, None if place == at else place))
    table = totals.assign(**{what.replace(" ", "_"): values})
    alt = f"The prompt, coloured by {what}. {source if colour == _SCORE else ''}".strip()
    exports.reported("tokens", Part(alt, table=table, html=written(data)))
    exports.tables(table, "tokens", figure="strip_tokens", alt=alt)


def _ask_there(model: Model, spec: AttributionSpec, encoded: Encoded, at: int) -> None:
    """Asks for the chosen token itself: why does it stand there?"""
    asked = _question(model, spec, encoded, at)
    if asked is None:
        return

    def ask() -> None:
        prompt_form.fill(spec.model_dump() | {"target": None, "foil": None} | asked)
        st.session_state["asked"] = True

    hides = "mask" in asked
    label = "Hide this residue and predict it" if hides else "Which neurons made it say that here?"
    st.button(label, icon=":material/neurology:", on_click=ask)


def _question(
    model: Model, spec: AttributionSpec, encoded: Encoded, at: int
) -> dict[str, str | int] | None:
    """Fields of the spec that asks for a token; None where that cannot be asked."""
    if at in token_strip.special(model, encoded):
        return None
    if spec.mask is not None:
        place = at - model.residues_at.start
        return {"mask": place, "text": spec.text} if place != spec.mask else None
    if model.kind != "causal" or model.alphabet != "text" or not at:
        return None
    ids = encoded.input_ids[0].tolist()
    before = model.tokenizer.decode(ids[:at], skip_special_tokens=True)
    try:
        again = model.encode(Prompt(before, target=encoded.tokens[at]))
    except UserError:
        return None
    # What is cut off may have been read differently.
    same = again.input_ids[0].tolist() == ids[:at] and again.target == ids[at]
    return {"text": before, "target": encoded.tokens[at]} if same else None


def _totals(model: Model, spec: AttributionSpec, result: Result) -> tuple[pd.DataFrame, str]:
    """The sum of scores at each token, by component, and whose they are in words."""
    if "token_totals" in result.tables:
        return result.tables["token_totals"], ""
    words = "Colours: gradient x activation, summed at each token, from one pass. "
    if "one_pass" in result.tables:
        return result.tables["one_pass"], words
    texts, scores = model.encode(spec.prompt).tokens, _one_pass(model, spec, result)
    if scores is None:
        return by_token(texts, {}), "There are too many tokens to score each. "
    return by_token(texts, scores), words


def _one_pass(model: Model, spec: AttributionSpec, result: Result) -> ByToken | None:
    """Scores of every neuron at every token; None where they do not fit."""
    target = int(result.numbers["target"])
    try:
        check_memory(everywhere(model, spec, target))
    except UserError:
        return None
    return _scored(model, spec, target, spec.key)


# Read only, and for all sessions: a copy for each would take longer than to compute it.
@st.cache_resource(max_entries=8, show_spinner=False)
def _scored(_model: Model, _spec: AttributionSpec, _target: int, key: str) -> ByToken:
    return one_pass(_model, _spec, _target)
