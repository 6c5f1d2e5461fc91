"""A page in parts, of which one is drawn: its views, and the sections of a result.

The address names it, so that a link or a reload opens it, and Back leads to the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import streamlit as st

from neuronlab.widgets import exports, links


def view(views: Mapping[str, str]) -> str:
    """Which study a page with several looks at; an opened link chooses it too.

    Args:
        views: what each study's view is called.
    """
    return _chosen("View", views)


def left_out(views: Mapping[str, str], models: str) -> None:
    """Say of a view that a link, or who has changed the model, asks for that it is not of this one.

    Args:
        views: those that are not, as ``view`` takes them.
        models: whose they are, in words.
    """
    asked = views.get(st.session_state.get("view", ""))
    if asked is not None:
        st.caption(f"“{asked}” is of {models}: choose one in the sidebar.")


def draw(sections: Mapping[str, Callable[[], None]]) -> None:
    """The sections of a result by their titles, the chosen one below; a report has them all.

    A section that is not drawn takes no time. What its widgets say is kept where they persist.

    Args:
        sections: draw each; the first is drawn where none was chosen.
    """
    names = {_name(title): title for title in sections}
    chosen = _chosen("Section", names) if len(names) > 1 else next(iter(names))
    for name, title in names.items():
        if name == chosen:
            sections[title]()
        elif exports.report_asked():
            with exports.unseen():
                sections[title]()


def turn_to(view: str) -> None:
    """Have the page draw another of its views next."""
    st.session_state["view"] = view
    links.carry("view", view)


def _name(title: str) -> str:
    """What an address calls a section."""
    return title.lower().replace(" ", "-")


def _chosen(label: str, titles: Mapping[str, str]) -> str:
    """The one that was chosen last, by a click or by the address (see `links.follow`)."""
    key = label.lower()

    def carry() -> None:
        links.carry(key, st.session_state[key])

    if st.session_state.get(key) not in titles:
        st.session_state[key] = next(iter(titles))
    chosen = st.segmented_control(
        label,
        list(titles),
        format_func=titles.__getitem__,
        key=key,
        label_visibility="collapsed",
        required=True,
        wrap=True,
        on_change=carry,
        persist_state="session",
    )
    links.carry(key, cast(str, chosen))
    return cast(str, chosen)
