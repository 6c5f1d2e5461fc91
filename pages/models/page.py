"""Which models are there? The catalogue, what each costs, and fetching."""

import pandas as pd
import streamlit as st

from neuronlab.models import tuned, weights
from neuronlab.models.catalogue import EMBEDDED, HUB, TOOLS
from neuronlab.models.entries import Entry
from neuronlab.models.families import FAMILIES
from neuronlab.widgets import model_fetch
from neuronlab.widgets.guard import complain, guard, plain


def main() -> None:
    types = sorted(model_type for family in FAMILIES for model_type in family.model_types)
    with st.expander(f"{len(types)} model types are supported"):
        st.caption(plain(", ".join(types)))
    for model in EMBEDDED:
        with st.container(border=True), guard():
            embedded(model)
    made = tuned.entries()
    if made:
        st.header("Made on this machine")
    for model in made:
        with st.container(border=True), guard():
            of_this_machine(model)
    st.header("From the hub")
    rows = [
        {
            "name": model.name,
            "kind": model.kind,
            "alphabet": model.alphabet,
            "parameters (M)": round(model.parameters / 1e6, 1),
            "licence": model.licence,
            "what": model.what,
        }
        for model in HUB
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.header("What the app itself works with")
    for tool in TOOLS:
        with st.container(border=True), guard():
            embedded(tool)


def of_this_machine(model: Entry) -> None:
    """A tuned model's card, and a button that deletes it."""
    card = tuned.card(model.name)
    if card is None:
        return
    left, right = st.columns([2, 1], vertical_alignment="center")
    with left:
        st.markdown(f"**{plain(model.title)}** `{model.name}`")
        st.markdown(plain(model.what))
        sizes = ", ".join(f"{count:,} {part}" for part, count in card.sizes.items())
        reached = ", ".join(
            f"{name} {card.metrics[name]:.3f}" for name in ("auc", "accuracy", "f1")
        )
        st.caption(
            plain(
                f"From {card.base['name']}. {card.data} ({sizes}). On the test part: {reached}. "
                f"{model.licence}."
            )
        )
    with right, st.popover("Delete", icon=":material/delete:"):
        st.markdown("Results that were made with it stay.")
        st.button(
            "Yes, delete", key=f"delete_{model.name}", on_click=tuned.remove, args=(model.name,)
        )


def embedded(model: Entry) -> None:
    """One embedded model or tool: what it is, and a button where it is missing."""
    left, right = st.columns([2, 1], vertical_alignment="center")
    with left:
        st.markdown(f"**{plain(model.title)}** `{model.name}`")
        st.markdown(plain(model.what))
        size = f"{model.parameters / 1e6:,.0f} M parameters, {model.download_bytes / 1e6:,.0f} MB"
        st.caption(plain(f"{model.kind}, {size}. {model.licence}. {model.source}."))
    with right:
        problem = weights.check(model.name)
        if weights.installed(model.name) and not problem:
            st.success("Installed", icon=":material/check:")
            return
        if problem:
            complain(problem)
        model_fetch.offer(model)


main()
