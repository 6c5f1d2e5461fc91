"""Runs as people see them: progress, cancel, and what is going on in the sidebar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab.attribution import METHODS
from neuronlab.facts import SETS
from neuronlab.models import weights
from neuronlab.models.catalogue import entry
from neuronlab.models.catalogue import title_of as title_of_model
from neuronlab.proteins.corpora import CORPORA
from neuronlab.proteins.labelled import LABELLED
from neuronlab.runs import Preview, Run, Spec
from neuronlab.steering.goals import Goal
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import AttributionSpec
from neuronlab.studies.bases.over_facts import OWN
from neuronlab.widgets import services
from neuronlab.widgets.facts_form import language_name
from neuronlab.widgets.guard import complain, enumerated, plain

# Seconds between two looks at a run. Showing it costs time the run would use.
_TICK = 0.5
# Of a run whose bar stands still for so many seconds, people are told.
_QUIET = 20
# Letters of a prompt where a run is named.
_SHORT = 40
# Of what stood on the page before, a preview leaves nothing: elements that the browser removes.
_REPLACED = 40
_CANCELLED = "This run was cancelled. Press Run to start it again."
_GOES_ON = (
    "Others still wait for this run: it goes on. Press Run to wait for it again; on the page Runs "
    "it can be stopped for everyone."
)


def title(study: str, spec: Mapping[str, Any]) -> str:
    """A run in a few words, from its spec."""
    of, asked = heading(study, spec), question(spec)
    on = "" if "text" in spec else f", on {models_of(spec)}"
    return f"{of}{': ' if asked else ''}{asked}{on}"


def heading(study: str, spec: Mapping[str, Any]) -> str:
    """What kind of run it is: the study, but of an attribution, and the method where it has one."""
    parts = [STUDIES[study].title if study in STUDIES else study] * (study != AttributionSpec.study)
    if spec.get("method") in METHODS:
        parts.append(METHODS[spec["method"]].title)
    if spec.get("specific"):
        parts.append("specific")
    return ", ".join(parts)


def question(spec: Mapping[str, Any]) -> str:
    """What was asked: a prompt and its answer, or which data with which settings."""
    if "text" in spec:
        text = str(spec["text"])
        short = text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}…"
        classes = _classes(spec["model"])
        asked = [spec.get(name) for name in ("target", "foil")]
        target, foil = (
            classes.get(each, each) if isinstance(each, int) else each for each in asked
        )
        answer = f" → {target}" if target is not None else ""
        foil = f", not {foil}" if foil is not None else ""
        return f"{short}{answer}{foil}"
    data = str(spec.get("data") or spec.get("facts") or spec.get("corpus", ""))
    if spec.get("goals"):
        goals = (Goal.model_validate(dict(goal)) for goal in spec["goals"])
        data = " and ".join(f"{goal.title} {goal.direction}" for goal in goals)
    sets: list[Any] = [*SETS.values(), *LABELLED.values(), *CORPORA.values()]
    titles = {each.name: each.title for each in sets}
    parts = [spec.get("fact") or (titles | {OWN: "own data"}).get(data, data)]
    if "neuron" in spec:
        parts.append(f"neuron {spec['layer']}.{spec['component']}.{spec['neuron']}")
    if spec.get("answers_by"):
        parts.append(f"asked of {spec['answers_by']}")
    if spec.get("per_relation"):
        parts.append(f"{spec['per_relation']} of a kind")
    if spec.get("languages"):
        parts.append(enumerated([language_name(language) for language in spec["languages"]]))
    return ", ".join(filter(None, parts))


def settings_apart(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of runs that are called the same: the settings of each that are not those of all.

    Example: ``["count 10", "count 100"]``; nothing where there is one, or all are the same.
    """
    settings = [dict(_settings(spec)) for spec in specs]
    differ = [
        name
        for name in dict.fromkeys(name for each in settings for name in each)
        if len({each.get(name) for each in settings}) > 1
    ]
    return [
        ", ".join(f"{name} {each[name]}" for name in differ if name in each) for each in settings
    ]


def _settings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of every setting in a spec, also of the specs in it."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _settings(each, f"{name} {key}".strip())
    elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        for number, each in enumerate(value, 1):
            yield from _settings(each, f"{name} {number}")
    else:
        words = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words = {"": "none", "None": "none", "True": "yes", "False": "no"}.get(words, words)
        yield name.replace("_", " "), words if len(words) <= _SHORT else f"{words[: _SHORT - 3]}…"


@st.cache_data(max_entries=32, show_spinner=False)
def _classes(model: str) -> dict[int, str]:
    """What a classifier calls its classes, which a spec has by their numbers; else nothing."""
    folder = weights.folder(model) if entry(model) else Path(model)
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    classifies = any("SequenceClassification" in name for name in config.get("architectures") or ())
    return {int(i): str(name) for i, name in config.get("id2label", {}).items() if classifies}


def models_of(spec: Mapping[str, Any]) -> str:
    """The models of a run, as people know them."""
    names = [spec["model"]] if "model" in spec else _labelled(spec.get("labels", ()))
    return " and ".join(map(title_of_model, names))


def _labelled(labels: dict | Spec | Sequence[dict | Spec]) -> list[str]:
    """The models of a study that starts from the labels of one, or of several."""
    several = [labels] if isinstance(labels, dict | Spec) else labels
    return [dict(labelled)["model"] for labelled in several]


def title_of(run: Run) -> str:
    """The same, of a run of the queue."""
    return title(run.study, dict(run.spec))


def summary() -> None:
    """What runs now, in the sidebar; refreshes itself while something does."""
    st.session_state["runs_summary"] = st.empty()
    _summarise()


def _summarise() -> None:
    active = [run for run in services.queue().runs() if run.active]
    with st.session_state["runs_summary"].container():
        if active:
            st.fragment(_active, run_every=1.0)(count())
        else:
            st.caption("No runs under way.")


def _active(looks: Iterator[int]) -> None:
    """What runs, again and again; once nothing does, the page runs anew.

    Args:
        looks: counts them. At the first one the page is about to show what has just begun, which
            may have ended already, and must not be kept from it.
    """
    first = next(looks) == 0
    active = [run for run in services.queue().runs() if run.active]
    mine = sum(1 for run in active if run.status == "running")
    st.caption(f"{mine} running, {len(active) - mine} queued")
    for run in active[:3]:
        st.progress(run.fraction, text=plain(title_of(run)))
    if not active and not first:
        st.rerun()


def wait(key: str, name: str, preview: Callable[[Preview], None] | None = None) -> None:
    """Until a run under way has ended: bar, message, time left, cancel; or why it has no result.

    The page waits here and goes on at the moment the result is there. Whatever a person does
    meanwhile interrupts the page, not the run.

    Args:
        preview: draws what a run under way shows of its result. Another preview, and at the end the
            result, takes its place: the page runs again, since widgets are drawn once a run.
    """
    place = st.empty()  # also when there is nothing to wait for: what follows keeps its place
    run = services.queue().get(key)
    if run is None or run.status == "done":
        return
    if run.active and key not in _left():
        if run.owners:  # not one that is about to stop
            # Whoever waits need not have begun it: the page may have been opened by its address.
            services.queue().submit(run.spec, device=run.device, owner=services.owner())
        with place.container():
            bar = _bar(run, name)
            curve = st.empty()
            note = st.empty()
        shown, status = 0, run.status
        seen: Preview | None = None
        while run.active:
            if run.status != status:  # the sidebar hears nothing while the page waits
                status = run.status
                _summarise()
            bar.progress(run.fraction, text=plain(_words(run)))
            if len(run.records) > shown:
                shown = len(run.records)
                table = pd.DataFrame(run.records).set_index("step").drop(columns="epoch")
                curve.line_chart(table.interpolate(limit_area="inside"), height=260)
            if preview and run.preview and run.preview is not seen:
                if seen:
                    st.rerun()
                seen = run.preview
                note.info(f"Preview: {plain(seen.words)}.", icon=":material/hourglass_top:")
                preview(seen)
                for _ in range(_REPLACED):
                    st.empty()
            run = services.queue().watch(key, _TICK, run.preview)
        if seen:
            st.rerun()
        place.empty()
    _ended(run)


def watch(key: str, name: str) -> None:
    """The same for a run among others: the page does not wait, and reruns when it has ended.

    Whoever is here may stop it, also for others, once they have read that these wait for it.
    """
    st.fragment(_watch, run_every=1.0)(key, name)


def open_on(spec: Spec, device: str) -> None:
    """Have the result that a page opens on: it is there, stored with the project, or begun."""
    if not services.at_hand(spec.key):
        submit(spec, device)


def submit(spec: Spec, device: str) -> Run:
    """Ask for a result; whoever asks first, it is computed once."""
    _left().discard(spec.key)
    run = services.queue().submit(spec, device=device, owner=services.owner())
    if run.active and "runs_summary" in st.session_state:
        _summarise()  # the sidebar was drawn before
    return run


def _left() -> set[str]:
    """Runs this session has cancelled; another session may still wait for them."""
    return st.session_state.setdefault("left", set())


def cancelled(key: str) -> bool:
    """Whether this session has cancelled a run, or it was stopped for everyone."""
    run = services.queue().get(key)
    return key in _left() or (run is not None and run.status == "cancelled")


def _others(run: Run) -> set[str]:
    """Who else waits for a run; not who closed the browser, though the run goes on for them."""
    return services.open_sessions(run.owners - {services.owner()})


def _cancel(key: str, *, for_everyone: bool = False) -> None:
    """Wait no longer: the run goes on where others do, unless it is stopped for them, too."""
    _left().add(key)
    run = services.queue().get(key)
    if run is not None:
        waiting = set() if for_everyone else _others(run)
        services.queue().cancel(key, services.owner(), *(run.owners - waiting))


def _watch(key: str, name: str) -> None:
    run = services.queue().get(key)
    if run is None or not run.active:
        st.rerun()
    others = len(_others(run))
    if not others:
        _bar(run, name)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(run.fraction, text=plain(_words(run)))
        with st.popover("Cancel", icon=":material/cancel:", key=f"others_{name}"):
            who = "Another person waits" if others == 1 else f"{others} others wait"
            st.markdown(f"{who} for it, so that it goes on.")
            st.button(
                "Stop for everyone",
                key=f"stop_{name}",
                on_click=_cancel,
                args=(key,),
                kwargs={"for_everyone": True},
            )


def _bar(run: Run, name: str) -> DeltaGenerator:
    with st.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(run.fraction, text=plain(_words(run)))
        st.button(
            "Cancel",
            key=f"cancel_{name}",
            icon=":material/cancel:",
            on_click=_cancel,
            args=(run.key,),
        )
    return bar


def _words(run: Run) -> str:
    if run.status == "queued":
        earlier = f" and {run.position} more" if run.position else ""
        return f"Queued on {run.device}, after the run under way{earlier}"
    left = "" if run.seconds_left is None else f", about {max(run.seconds_left, 1):.0f} s left"
    quiet = "" if run.quiet < _QUIET else f", no progress for {run.quiet:.0f} s"
    return f"{run.message.capitalize() or 'Running'}: {run.fraction:.0%}{left}{quiet}"


def _ended(run: Run) -> None:
    """Nothing, or why there is no result."""
    if run.active and run.owners:
        st.info(_GOES_ON, icon=":material/group:")
    elif run.active or run.status == "cancelled":
        st.info(_CANCELLED, icon=":material/cancel:")
    elif run.status == "failed":
        complain(run.error, run.details)
