"""Which result a page shows: the one that was opened or started, else that of its form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

import streamlit as st

from neuronlab import examples
from neuronlab.models import Model, weights
from neuronlab.models.catalogue import entry
from neuronlab.runs import Context, Preview, Result, Spec
from neuronlab.studies import STUDIES
from neuronlab.widgets import links, model_fetch, runs, services, state, suited
from neuronlab.widgets.guard import guard, plain

S = TypeVar("S", bound=Spec)

# Seconds of a run that nobody has asked for.
_LONG = 30


def context() -> Context:
    """What a study's cost is asked with: the chosen device, and a message while a model loads."""
    return Context(state.device(), load=services.model, stored=services.store().has)


def cost(spec: Spec) -> str:
    """What a run will take, in a sentence; empty where its study does not know."""
    estimated = STUDIES[spec.study].cost(spec, context())
    return "" if estimated is None else estimated.sentence


def run_button(spec: S | None, words: Callable[[S], str] = cost) -> None:
    """The Run button with what the run will cost; when pressed, the run is started.

    Args:
        words: for the cost of a run, where a page has more to say than the study.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Run",
            type="primary",
            icon=":material/play_arrow:",
            disabled=spec is None,
            key="run",
        )
        if spec is not None:
            st.caption(words(spec))
    if pressed and spec is not None:
        runs.submit(spec, state.device())
        links.show(spec.key, spec.study)
        st.session_state.pop("link_problem", None)


def study(
    name: str,
    model: Model | None,
    spec: S | None,
    results: Callable[[S, Result], None],
    *,
    first: Spec | None = None,
    preview: Callable[[S, Result], None] | None = None,
) -> None:
    """The Run button, the run, and its results: what a page does once its form stands.

    Args:
        model: the chosen one; what was shown of another is left. None: of any.
        spec: what the form stands for; None where it is not complete.
        results: draws them.
        first: what is computed where nothing was opened or started yet; `spec`, if not given.
        preview: draws what there is of a result before it is finished; `results`, if not given.
    """
    run_button(spec)
    shown = finished(
        name, None if model is None else model.name, spec, first or spec, preview or results
    )
    if shown is not None:
        with guard():
            results(*shown)


def stored(study: str, results: Callable[[None, Any, Result], None]) -> bool:
    """Whether the chosen model is not on this machine, but its result comes with the project.

    Then that is drawn, below an offer to fetch the model, which does not come before what there is.

    Args:
        results: draws what needs no model; it gets None for one.
    """
    model = entry(state.model_name())
    if model is None or not model.embedded or weights.installed(model.name):
        return False
    first = examples.first(study, model)
    if first is None or first.key not in examples.stored_keys():
        return False
    model_fetch.offered(model)
    runs.open_on(first, state.device())
    links.show(first.key, study)
    opened: tuple[Spec, Result] | None = finished(study, model.name, first, first)
    if opened is not None:
        with guard():
            results(None, *opened)
    return True


def finished(
    study: str,
    model: str | None,
    spec: S | None,
    first: Spec | None,
    preview: Callable[[S, Result], None] | None = None,
) -> tuple[S, Result] | None:
    """The spec and result to show; waits for a run under way. None where there is nothing.

    Args:
        model: the chosen model; what was shown of another one is left. None: of any.
        spec: what the form stands for; None where it is not complete.
        first: what is computed where nothing was opened or started yet.
        preview: draws what there is of the result of a run under way.
    """
    key = links.shown(study)
    if key is None or (model is not None and links.model_of(key) != model):
        if first is None or _waits(first):
            return None
        key = first.key
        runs.open_on(first, state.device())
    links.show(key, study)
    runs.wait(key, study, None if preview is None else partial(_preview, key, preview))
    if not services.store().has(key):
        before = _before().get(study)
        if before is None or not runs.cancelled(key) or model not in (None, links.model_of(before)):
            return None
        if not services.store().has(before):
            return None
        key = before
        links.show(key, study)
    raw, result = services.result(key)
    stored = services.spec_of(raw)
    if stored.key != key:  # an earlier version of the study computed it, otherwise
        if not services.store().has(stored.key):
            # It is not shown among those of this version.
            _offer(
                stored,
                "This result was computed by an earlier version of the study. Compute it anew to "
                "see it here; what was computed then can be exported on the page Runs.",
                "Compute it anew",
            )
            return None
        key, result = stored.key, services.result(stored.key)[1]
    _before()[study] = key
    _caption(raw, key, None if spec is None else spec.key)
    return cast(S, stored), result  # `spec` is of the same study


def _caption(raw: dict[str, Any], key: str, form: str | None) -> None:
    """What the result is of; and whether the form stands for another run.

    Args:
        raw: the result's spec.
        form: the key of the form's spec; None where it is not complete.
    """
    words = []
    provenance = services.store().provenance(key)
    if "example" in provenance:
        day = datetime.fromisoformat(provenance["created"]).date()
        words.append(f"Stored example, computed on {day} with {plain(provenance['example'])}.")
    first_form = st.session_state.setdefault("first_forms", {}).setdefault(key, form)
    if form != key:
        shown = f"Shown below: {plain(runs.title(raw['study'], raw))}."
        if form == first_form:  # nobody has touched it: it has not been asked for anything
            words.append(f"{shown} The form above starts other runs.")
        else:
            todo = "Press Run for the form above." if form else "The form above cannot run yet."
            st.info(f"{shown} {todo}", icon=":material/info:")
    if note := suited.note():
        words.append(note)
    if words:
        st.caption(" ".join(words))


def _before() -> dict[str, str]:
    """By study, the run whose result was seen last: it comes back where another is cancelled."""
    return st.session_state.setdefault("seen_results", {})


def _waits(first: Spec) -> bool:
    """Whether a page only offers its first result, which would take long."""
    if services.at_hand(first.key):
        return False
    estimated = STUDIES[first.study].cost(first, context())
    if estimated is None or estimated.seconds < _LONG:
        return False
    _offer(
        first,
        "Nothing was computed here yet. To begin with: "
        f"“{plain(runs.title(first.study, dict(first)))}”. {estimated.sentence}",
        "Begin with this",
    )
    return True


def _preview(key: str, draw: Callable[[S, Result], None], preview: Preview) -> None:
    run = services.queue().get(key)
    if run is not None:
        with guard():
            draw(cast(S, run.spec), preview.result)


def _offer(spec: Spec, sentence: str, button: str) -> None:
    """Say why there is no result, and compute it where that is asked for."""
    st.info(sentence, icon=":material/update:")
    if st.button(button, key="compute", type="primary"):
        runs.submit(spec, state.device())
        links.show(spec.key, spec.study)
        st.rerun()
