"""One neuron: its score, where it fires, what it promotes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab.attribution import attribute
from neuronlab.errors import UserError
from neuronlab.figures.charts import token_bars, visible
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.figures.report import Part
from neuronlab.figures.tokens import written
from neuronlab.models import Component, Encoded, Model, Prompt
from neuronlab.neurons import Neuron, NeuronCard, NeuronScores, NeuronSet, neuron_card
from neuronlab.studies.bases.prompts import prompts
from neuronlab.widgets import (
    address,
    contexts,
    exports,
    label_sets,
    neuron_maps,
    state,
    token_strip,
)
from neuronlab.widgets.guard import counted, enumerated, plain


@st.cache_data(max_entries=256, show_spinner=False)
def _card(_model: Model, name: str, revision: str, prompt: Prompt, neuron: Neuron) -> NeuronCard:
    return neuron_card(_model, prompt, neuron)


def _of(model: Model, prompt: Prompt, neuron: Neuron) -> NeuronCard:
    """The card, whatever is asked of the prompt."""
    return _card(model, model.name, model.revision, prompt.unasked, neuron)


def activations(model: Model, prompt: Prompt, neuron: Neuron) -> list[float]:
    """A neuron's activation at each token; 0 at those that the neuron is not at."""
    table = _of(model, prompt, neuron).activations.set_index("token")["activation"]
    return table.reindex(range(model.encode(prompt).length), fill_value=0.0).tolist()


@contextmanager
def panel() -> Iterator[None]:
    """The card itself: in one of ``columns``, and on a phone with a button that closes it."""
    opened = st.session_state.get("neuron_opened", False)
    with st.container(border=True, key="neuron_panel_opened" if opened else "neuron_panel"):
        st.button("Close", icon=":material/close:", key="close_neuron", on_click=_close)
        yield


def columns() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Places for what is clicked, and for the card, which stays in view beside it.

    On a phone the card comes up from below as soon as a neuron was clicked.
    """
    left, right = st.columns([5, 3], gap="medium")
    return left, right


def draw(model: Model, prompt: Prompt, neuron: Neuron, scores: NeuronScores) -> None:
    """The card of the chosen neuron.

    Args:
        scores: those that the page shows; of their provenance ``settings`` names the method,
            ``token`` the one token that they are of, ``over`` what else they are a mean of.
    """
    card = _of(model, prompt, neuron)
    with panel():
        st.markdown(
            f"**Neuron {model.layer_names[neuron.layer]} / "
            f"{COMPONENT_NAMES[neuron.component]} / {neuron.index}**"
            + (f" ({card.place})" if card.place else "")
        )
        _label(model, neuron)
        encoded = model.encode(prompt)
        activation, where = _activation(model, encoded, card, scores.provenance.get("token"))
        st.markdown(f"{_standing(scores, neuron)}; activation **{activation:+.3g}** at {where}.")
        _actions(neuron)
        contexts.brief(model, neuron, activation)
        if "token" in scores.provenance and len(card.promotes):
            st.caption("At the predicted position:")
        _words(model, card)
        _tokens(model, prompt, card, scores)
        _elsewhere(model, prompt, neuron)


def _close() -> None:
    st.session_state["neuron_opened"] = False


def _standing(scores: NeuronScores, neuron: Neuron) -> str:
    """The score, and its rank among the neurons that the page shows."""
    score = scores.score(neuron) + 0.0  # no "-0"
    above = sum(int((values > score).sum()) for values in scores.arrays.values())
    count = sum(int(np.isfinite(values).sum()) for values in scores.arrays.values())
    names = (COMPONENT_NAMES[component] for component in scores)
    kinds = enumerated([name if name.isupper() else name.lower() for name in names])
    rank = f"rank **{above + 1:,}** of {count:,} {kinds} neurons by {neuron_maps.scored_by(scores)}"
    return f"Score **{score:+.3g}**{_over(scores)}, {rank}"


def _over(scores: NeuronScores) -> str:
    """What is said of scores that are of another position than the activation beside them."""
    source = scores.provenance
    all_tokens = "token" not in source and source["settings"].get("positions") == "all"
    over = "all tokens" if all_tokens else source.get("over")
    return f" over {over}" if over else ""


def _actions(neuron: Neuron) -> None:
    inside = neuron in state.basket()
    with st.container(horizontal=True):
        if st.button(
            "Remove from basket" if inside else "Add to basket",
            key="card_basket",
            icon=":material/shopping_basket:",
        ):
            one = NeuronSet([neuron])
            basket = state.basket()
            state.set_basket(basket - one if inside else basket | one)
            st.rerun(scope="app")
        with st.popover("Link", icon=":material/link:"):
            address.draw("card")


def _elsewhere(model: Model, prompt: Prompt, neuron: Neuron) -> None:
    """In how many of the model's example prompts the neuron is among the best."""
    best = _best(model, model.name, model.revision)
    if not best:  # no example's answer is a word of the model
        return
    names = [name for name, neurons in best.items() if neuron in neurons]
    of = f"{len(names)} of {counted(len(best), 'example prompt')}"
    which = f": {plain(', '.join(names))}" if names else ""
    others = [
        name
        for name, example in prompts(model.name, model.kind, model.alphabet).items()
        if name not in names and Prompt(**example).unasked == prompt.unasked
    ]
    this = "; not of this one" if names and others else ""
    st.caption(
        "By gradient x activation, which is quicker, it is among the ten best of "
        f"{of}{which}{this}."
    )


# Read only, and the same for all sessions.
@st.cache_resource(max_entries=8, show_spinner=False)
def _best(_model: Model, name: str, revision: str) -> dict[str, NeuronSet]:
    """The ten best neurons of each of the model's example prompts."""
    best = {}
    for title, example in prompts(name, _model.kind, _model.alphabet).items():
        with suppress(UserError):  # the answer may be no word of a person's own model
            scores = attribute(_model, Prompt(**example), method="gradient_x_activation")
            best[title] = scores.select(top=10)
    return best


def _label(model: Model, neuron: Neuron) -> None:
    """What the neuron is called, where it has a label."""
    row = label_sets.label(model.name, neuron) if model.alphabet == "protein" else None
    if row is not None:
        st.markdown(
            f"Label: **{plain(str(row['label']))}** :gray[(held-out correlation "
            f"{row['correlation']:.2f})]"
        )


def _activation(
    model: Model, encoded: Encoded, card: NeuronCard, token: int | None
) -> tuple[float, str]:
    """The activation and where it is: at a token or, of None, at the predicted position.

    Of a neuron that is not there it is the largest.
    """
    table = card.activations.set_index("token")["activation"]
    position = encoded.position if token is None else token
    if position not in table.index:
        strongest = table.abs().idxmax()
        return float(table[strongest]), "the token where it is largest"
    if token is not None:
        return float(table[position]), plain(token_strip.name(model, encoded, token))
    where = "the predicted position" if model.kind != "classifier" else "the token it reads"
    return float(table[position]), where


# Tokens at either end.
_WORDS = 10
# What a neuron does instead of writing to the stream.
_WRITES_NOTHING: dict[Component, str] = {
    "query": "says what its token asks earlier tokens for",
    "key": "says what its token offers to be found by",
    "value": "is handed on to later tokens, as far as they attend to its own",
}


def _words(model: Model, card: NeuronCard) -> None:
    """The words that a neuron promotes and suppresses, or why it has none."""
    if not len(card.promotes):
        does = _WRITES_NOTHING.get(card.neuron.component)
        if does and model.kind in ("causal", "masked"):
            st.caption(
                f"It {does}, and writes nothing to the stream itself: what promotes words are FFN "
                "and attention neurons."
            )
        return
    both = pd.concat([card.promotes.head(_WORDS), card.suppresses.head(_WORDS)], ignore_index=True)
    words = f"The tokens that neuron {card.neuron} promotes and suppresses most"
    exports.reported("card_words", Part(words, table=both))
    left, right = st.columns(2)
    for column, title, table in (
        (left, "Promotes", card.promotes),
        (right, "Suppresses", card.suppresses),
    ):
        with column:
            st.caption(f"{title} (change of the logit)")
            shown = table.assign(token=[visible(t) for t in table["token"]])
            st.dataframe(
                shown.head(_WORDS),
                hide_index=True,
                height=215,
                key=f"card_{title}",
                column_config={
                    "token": st.column_config.TextColumn(width=60),
                    # In some models a neuron moves a logit by thousandths.
                    "effect": st.column_config.NumberColumn(format="%+.2g", width=66),
                },
            )


def _tokens(model: Model, prompt: Prompt, card: NeuronCard, scores: NeuronScores) -> None:
    neuron = card.neuron
    table = card.activations
    rows = pd.DataFrame()
    if len(scores.tokens):
        kept = scores.tokens
        rows = kept[
            (kept["layer"] == neuron.layer)
            & (kept["component"] == neuron.component)
            & (kept["neuron"] == neuron.index)
        ]
    if len(rows):
        of_neuron = ["layer", "layer_name", "component", "neuron"]
        every = rows.drop(columns=of_neuron, errors="ignore").iloc[0]
        per_token = every.iloc[table["token"]].tolist()
        table = table.assign(score=per_token)
        _per_token(model, prompt, neuron, per_token, "score", table)
    values = card.activations["activation"].tolist()
    _per_token(model, prompt, neuron, values, "activation", table)
    if len(card.residues):
        st.caption("Residues it responds to: mean activation here, highest first")
        st.dataframe(card.residues, hide_index=True, height=180, key="card_residues")


def _per_token(
    model: Model,
    prompt: Prompt,
    neuron: Neuron,
    values: list[float],
    what: str,
    table: pd.DataFrame,
) -> None:
    """A neuron's score or activation at each token, or residue."""
    residues = model.alphabet == "protein"
    st.caption(f"{what.capitalize()} at each {'residue' if residues else 'token'}")
    if residues:
        data = token_strip.of_prompt(model, prompt, values, what, clickable=False)
        token_strip.draw(data, f"neuron_{what}")
        words = f"{what.capitalize()} of neuron {neuron} at each residue."
        exports.reported(f"neuron_{what}", Part(words, table=table, html=written(data)))
        exports.tables(table, f"neuron_{what}")
        return
    alt = f"{what.capitalize()} of neuron {neuron} at each token."
    exports.chart(token_bars(table["text"].tolist(), values, what), table, f"neuron_{what}", alt)
