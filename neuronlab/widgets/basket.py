"""The basket: see it, clear it, take it along."""

from __future__ import annotations

import streamlit as st

from neuronlab.errors import UserError
from neuronlab.models.sharing import at_hand
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.widgets import state
from neuronlab.widgets.guard import complain, counted

_MAX_BYTES = 1_000_000


def summary() -> None:
    """How many neurons are in the basket, and a fold to manage it."""
    neurons = state.basket()
    with st.popover(
        f"Basket: {counted(len(neurons), 'neuron')}",
        icon=":material/shopping_basket:",
        width="stretch",
    ):
        if not len(neurons):
            st.caption("Empty. Tick rows of a ranked table, or click a neuron, and add them.")
        else:
            _contents(neurons)
        with st.form("basket_import", clear_on_submit=True, border=False):
            file = st.file_uploader("Import a set (JSON)", type="json", max_upload_size=1)
            if st.form_submit_button("Import") and file is not None:
                _import(file.getvalue())


def _contents(neurons: NeuronSet) -> None:
    table, model = neurons.to_frame(), at_hand(state.model_name(), state.device())
    if model is not None and len(model.stacks) > 1:  # a set alone does not know of stacks
        names = dict(enumerate(model.layer_names))
        table["layer"] = [names.get(layer, str(layer)) for layer in table["layer"]]
    event = st.dataframe(
        table,
        hide_index=True,
        height=220,
        on_select="rerun",
        selection_mode="multi-row",
        key="basket_table",
    )
    picked = [Neuron(*list(neurons)[row]) for row in event.selection.rows if row < len(neurons)]
    with st.container(horizontal=True):
        st.button(
            "Remove selected",
            disabled=not picked,
            on_click=lambda: state.set_basket(neurons - NeuronSet(picked)),
            key="basket_remove",
        )
        st.button("Empty", on_click=lambda: state.set_basket(NeuronSet()), key="basket_empty")
        st.download_button(
            "Export JSON",
            neurons.to_json(),
            "basket.json",
            "application/json",
            on_click="ignore",
            key="basket_export",
        )


def _import(data: bytes) -> None:
    try:
        if len(data) > _MAX_BYTES:
            raise UserError("The file is larger than 1 MB: this is not an exported basket.")
        neurons = NeuronSet.from_json(data.decode("utf-8", errors="replace"))
    except UserError as error:
        complain(str(error))
        return
    state.add_to_basket(neurons)
    st.rerun()
