"""Fetch an embedded model from the page: terms, progress, cancel."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import streamlit as st

from neuronlab.errors import UserError
from neuronlab.models import weights
from neuronlab.models.catalogue import entry
from neuronlab.models.entries import Entry
from neuronlab.widgets.guard import complain, plain


class _Stopped(Exception):
    pass


@dataclass
class _Fetch:
    """One download under way; all sessions of the server see the same one."""

    fraction: float = 0.0
    message: str = "starting"
    error: UserError | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


@st.cache_resource
def _fetches() -> dict[str, _Fetch]:
    return {}


def ready(name: str) -> bool:
    """Whether a model can be loaded; if it has to be fetched first, offers that instead."""
    model = entry(name)
    if model is None or not model.embedded:
        return True
    problem = weights.check(name)
    if weights.installed(name) and not problem:
        return True
    if problem:
        complain(problem)
    else:
        st.info(f"{plain(model.title)} is not on this machine yet.", icon=":material/download:")
    offer(model)
    return False


def offered(model: Entry) -> None:
    """The offer folded into a line, where there is something to look at without the model."""
    if _fetches().get(model.name) is not None:  # under way, or failed
        offer(model)
        return
    label = f"{plain(model.title)} is not on this machine: fetch it to ask something else"
    with st.expander(label, icon=":material/download:"):
        offer(model)


def offer(model: Entry) -> None:
    """A button that fetches an embedded model, or its progress."""
    fetch = _fetches().get(model.name)
    if fetch is not None and fetch.running:
        st.fragment(_follow, run_every=0.5)(model.name)
        return
    if fetch is not None and fetch.error is not None:
        complain(str(fetch.error), fetch.error.details)
    if model.terms:
        st.markdown(plain(model.terms))
        if model.licence_url:
            st.link_button("Read the terms", model.licence_url, type="tertiary")
    label = weights.ACCEPT_BUTTON if model.terms else "Fetch"
    size = f"{model.download_bytes / 1e6:,.0f} MB"
    st.button(
        f"{label} ({size})",
        key=f"fetch_{model.name}",
        icon=":material/download:",
        on_click=_begin,
        args=(model.name,),
    )


def _begin(name: str) -> None:
    running = _fetches().get(name)
    if running is not None and running.running:
        return
    fetch = _Fetch()

    def report(fraction: float, message: str) -> None:
        if fetch.stop.is_set():
            raise _Stopped
        fetch.fraction, fetch.message = fraction, message

    def work() -> None:
        try:
            weights.fetch(name, progress=report, accept_terms=True)
        except _Stopped:
            pass
        except UserError as error:
            fetch.error = error

    fetch.thread = threading.Thread(target=work, name=f"fetch {name}", daemon=True)
    _fetches()[name] = fetch
    fetch.thread.start()


def _follow(name: str) -> None:
    fetch = _fetches()[name]
    if not fetch.running:
        st.rerun()
    st.progress(min(fetch.fraction, 1.0), text=plain(fetch.message.capitalize()))
    st.button("Cancel", key=f"stop_{name}", on_click=fetch.stop.set, icon=":material/cancel:")
