"""Runs as people see them: progress, cancel, and what is going on in the sidebar."""

from __future__ import annotations

import streamlit as st

from neuronlab.runs import Run, Spec
from neuronlab.widgets import services
from neuronlab.widgets.guard import complain, plain

POLL = 0.3
_CANCELLED = "This run was cancelled. Press Run to start it again."


def title(spec: dict) -> str:
    """A run in a few words, from its spec."""
    text = str(spec.get("text", ""))
    short = text if len(text) <= 40 else f"{text[:37]}…"
    target = spec.get("target")
    return f"{spec.get('method', spec.get('study', 'run'))}: {short} → {target}"


def summary() -> None:
    """What runs now, in the sidebar; refreshes itself while something does."""
    active = [run for run in services.queue().runs() if run.active]
    if active:
        st.fragment(_active, run_every=1.0)()
    else:
        st.caption("No runs under way.")


def _active() -> None:
    active = [run for run in services.queue().runs() if run.active]
    mine = sum(1 for run in active if run.status == "running")
    st.caption(f"{mine} running, {len(active) - mine} queued")
    for run in active[:3]:
        st.progress(run.fraction, text=plain(f"{title(run.spec.model_dump())}"))
    if not active:
        st.rerun()


def progress(key: str, name: str) -> bool:
    """Follow a run under way: bar, message, time left, cancel.

    Returns whether the run is still going; if it is, the page reruns by itself when it ends.
    """
    run = services.queue().get(key)
    if run is None or run.status == "done":
        return False
    if key in _left():
        st.info(_CANCELLED, icon=":material/cancel:")
        return False
    if not run.active:
        _ended(run)
        return False
    st.fragment(_follow, run_every=POLL)(key, name)
    return True


def submit(spec: Spec, device: str) -> Run:
    """Ask for a result; whoever asks first, it is computed once."""
    _left().discard(spec.key)
    return services.queue().submit(spec, device=device, owner=services.owner())


def _left() -> set[str]:
    """Runs this session has cancelled; another session may still wait for them."""
    return st.session_state.setdefault("left", set())


def _cancel(key: str) -> None:
    _left().add(key)
    services.queue().cancel(key, services.owner())


def _follow(key: str, name: str) -> None:
    run = services.queue().get(key)
    if run is None or not run.active or key in _left():
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(run.fraction, text=plain(_words(run)))
        st.button(
            "Cancel",
            key=f"cancel_{name}",
            icon=":material/cancel:",
            on_click=_cancel,
            args=(key,),
        )


def _words(run: Run) -> str:
    if run.status == "queued":
        return f"Queued: {run.position} before it on {run.device}"
    left = "" if run.seconds_left is None else f", about {max(run.seconds_left, 1):.0f} s left"
    return f"{run.message.capitalize() or 'Running'}: {run.fraction:.0%}{left}"


def _ended(run: Run) -> None:
    if run.status == "cancelled":
        st.info(_CANCELLED, icon=":material/cancel:")
    else:
        complain(run.error, run.details)
