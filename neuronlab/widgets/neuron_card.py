"""One neuron: its score, where it fires, what it promotes."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from neuronlab.figures.charts import sequence_map, token_bars, visible
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import Model, Prompt
from neuronlab.neurons import Neuron, NeuronCard, NeuronScores, NeuronSet, neuron_card
from neuronlab.widgets import exports, label_sets, state
from neuronlab.widgets.guard import plain


@st.cache_data(max_entries=256, show_spinner=False)
def _card(
    _model: Model, name: str, revision: str, text: str, mask: int | None, neuron: Neuron
) -> NeuronCard:
    return neuron_card(_model, Prompt(text, mask=mask), neuron)


def activations(model: Model, prompt: Prompt, neuron: Neuron) -> list[float]:
    """A neuron's activation at each token."""
    card = _card(model, model.name, model.revision, prompt.text, prompt.mask, neuron)
    return card.activations["activation"].tolist()


def draw(model: Model, prompt: Prompt, neuron: Neuron, scores: NeuronScores) -> None:
    """The card of the chosen neuron."""
    card = _card(model, model.name, model.revision, prompt.text, prompt.mask, neuron)
    with st.container(border=True):
        st.markdown(
            f"**Neuron {neuron.layer} / {COMPONENT_NAMES[neuron.component]} / {neuron.index}**"
            + (f" (head {card.head}, dimension {card.dimension})" if card.head is not None else "")
        )
        _label(model, neuron)
        score = scores.score(neuron)
        values = scores[neuron.component]
        rank = int((values > score).sum()) + 1
        activation = float(card.activations["activation"].iloc[_position(model, prompt)])
        st.markdown(
            f"Score **{score:+.3g}**, rank **{rank:,}** of its component; activation "
            f"**{activation:+.3g}** at the predicted position."
        )
        _words(card)
        _tokens(model, card, scores)
        inside = neuron in state.basket()
        if st.button(
            "Remove from basket" if inside else "Add to basket",
            key="card_basket",
            icon=":material/shopping_basket:",
        ):
            one = NeuronSet([neuron])
            basket = state.basket()
            state.set_basket(basket - one if inside else basket | one)
            st.rerun(scope="app")


def _label(model: Model, neuron: Neuron) -> None:
    """What the neuron is called, where it has a label."""
    row = label_sets.label(model.name, neuron) if model.alphabet == "protein" else None
    if row is not None:
        st.markdown(
            f"Label: **{plain(str(row['label']))}** :gray[(held-out correlation "
            f"{row['correlation']:.2f})]"
        )


def _position(model: Model, prompt: Prompt) -> int:
    return model.encode(prompt).position


def _words(card: NeuronCard) -> None:
    if not len(card.promotes):
        return
    left, right = st.columns(2)
    for column, title, table in (
        (left, "Promotes", card.promotes),
        (right, "Suppresses", card.suppresses),
    ):
        with column:
            st.caption(f"{title} (change of the logit)")
            shown = table.assign(token=[visible(t) for t in table["token"]])
            st.dataframe(
                shown.head(10),
                hide_index=True,
                height=215,
                key=f"card_{title}",
                column_config={"effect": st.column_config.NumberColumn(format="%+.2f")},
            )


def _tokens(model: Model, card: NeuronCard, scores: NeuronScores) -> None:
    texts = card.activations["text"].tolist()
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
        per_token = rows.drop(columns=["layer", "component", "neuron"]).iloc[0].tolist()
        table = table.assign(score=per_token)
        st.caption("Score at each token")
        figure = _per_token(model, texts, per_token, "score")
        exports.chart(figure, table, "neuron_scores", "Score of the neuron at each token.")
    st.caption("Activation at each token")
    figure = _per_token(model, texts, card.activations["activation"].tolist(), "activation")
    exports.chart(figure, table, "neuron_activation", "Activation of the neuron at each token.")
    if len(card.residues):
        st.caption("Residues it responds to: mean activation here, highest first")
        st.dataframe(card.residues, hide_index=True, height=180, key="card_residues")


def _per_token(model: Model, texts: list[str], values: list[float], title: str) -> go.Figure:
    if model.alphabet == "protein":
        return sequence_map(texts, values, title=title)
    return token_bars(texts, values, title)
