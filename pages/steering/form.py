"""The form of a steering run: what to start from, the goal, the neurons, and the settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator as Column

from neuronlab.errors import UserError
from neuronlab.labels.search import search_words
from neuronlab.models import Model
from neuronlab.models.catalogue import use_of
from neuronlab.models.residues import clean_sequence
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.proteins import antibodies, corpora
from neuronlab.proteins.features import PROPERTIES
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL
from neuronlab.studies.bases.prompts import UBIQUITIN
from neuronlab.studies.steering import Goal, SteeringSpec
from neuronlab.widgets import components, label_sets, state, structure
from neuronlab.widgets.guard import complain, doubted, sentence
from pages.steering.settings import MOST_SEED, REST, amount, presets, settings

# What the form takes; a run from elsewhere may have more.
_MOST_A, _MOST_B = 10.0, 8.0
CHOICES = {
    "effect": "by effect on the goal",
    "written": "by effect on a structure predicted of what is written",
    "residue": "by correlation, residue by residue",
    "protein": "by correlation, over proteins",
    "labels": "by label",
    "basket": "from the basket",
}


def fill(spec: SteeringSpec, *, keep: bool = False) -> None:
    """Put what a run was asked into the form of its model, before the widgets are drawn.

    Given neurons are in the basket, unless that holds others.

    Args:
        keep: what the form has already; only what is forgotten comes anew.
    """
    antibody = use_of(spec.model).only == "antibodies"
    which = "own" if spec.free else "all"
    if antibody and spec.free == antibodies.determining(spec.sequence):
        which = "regions"
    values: dict[str, Any] = {
        f"steer_sequence_{spec.model}": spec.sequence,
        "steer_light": spec.light,
        f"steer_free_{antibody}": which,
        "steer_places": ranges(spec.free),
        "steer_goal_2": None,
        "steer_a": min(max(spec.a, -_MOST_A), _MOST_A),
        "steer_b": min(max(spec.b, -_MOST_B), _MOST_B),
        "steer_choose": "basket" if spec.choose == "given" else spec.choose,
        "steer_count": spec.count,
        "steer_components": list(spec.components),
        "steer_mode": spec.mode,
        "steer_steps": spec.steps,
        "steer_masked": max(round(100 * spec.masked), 1),
        "steer_t": spec.temperature,
        "steer_half": spec.precision == "bfloat16",
        "steer_chains": spec.chains,
        "steer_random": spec.random_sets,
        "steer_seed": min(spec.seed, MOST_SEED),
        "steer_positions": spec.positions,
        "steer_length": spec.length or 0,
        "steer_dose": bool(spec.dose_a),
        f"steer_predictor_{antibody}": spec.predictor,
    }
    if spec.corpus in corpora.titles():
        values[f"steer_corpus_{use_of(spec.model).corpus}"] = spec.corpus
    for number, goal in enumerate(spec.goals, start=1):
        values[f"steer_goal_{number}"] = goal.property
        values[f"steer_way_{number}"] = goal.direction
        first, after = goal.stretch or (0, 0)
        values[f"steer_stretch_{number}"] = ranges(range(first, after))
    values[REST] = {"corpus": spec.corpus, "dose_steps": spec.dose_steps}
    if spec.dose_a:
        values[REST] |= {"dose_a": spec.dose_a, "dose_b": spec.dose_b}
    if keep:
        values = {key: value for key, value in values.items() if key not in st.session_state}
    st.session_state.update(values)
    if not keep and spec.neurons and not len(state.basket(spec.model)):
        state.set_basket(NeuronSet(map(Neuron.parse, spec.neurons)), spec.model)


def form(model: Model, first: SteeringSpec) -> SteeringSpec | None:
    """Everything that decides a run; None with a message where it is not complete.

    First what to start from, the goal, and how much is generated; the rest folds open.

    Args:
        first: the example of the model.
    """
    antibody = use_of(model.name).only == "antibodies"
    left, right = st.columns(2)
    generated = st.container(horizontal=True, vertical_alignment="center")
    more = st.expander("More: residues, a second goal, neurons, settings")
    try:
        start = _start(model, left, more, antibody=antibody)
        goals = _goals(len(start["sequence"]), right, more)
        with generated:
            presets(first)
        with more:
            neurons = _neurons(model, goals)
            how = settings(antibody=antibody)
        now = amount(*(how[name] for name in ("chains", "steps", "random_sets")))
        generated.caption(f"Now: {now}; “More” has all settings.")
        return SteeringSpec(
            model=model.name, revision=model.revision, goals=goals, **start, **how | neurons
        )
    except (UserError, ValueError) as error:
        complain(sentence(error))
    return None


def _start(model: Model, place: Column, more: Column, *, antibody: bool) -> dict:
    key = f"steer_sequence_{model.name}"
    text = place.text_area(
        "Start from" + (" (heavy chain)" if antibody else ""),
        TRASTUZUMAB_VH if antibody else UBIQUITIN,
        height=110,
        max_chars=2000,
        key=key,
        persist_state="session",
    )
    with place:
        structure.pick_known(model, partial(st.session_state.__setitem__, key))
    sequence = clean_sequence(text)
    doubted(sequence)
    light = ""
    left, right = more.columns(2)
    if antibody:
        light = right.text_area(
            "Light chain, for structures",
            TRASTUZUMAB_VL,
            height=110,
            max_chars=2000,
            key="steer_light",
            persist_state="session",
            help="FlashABB folds a heavy chain alone badly: give its light chain too.",
        )
        light = clean_sequence(light) if light.strip() else ""
    options = ["regions", "all", "own"] if antibody else ["all", "own"]
    which = left.segmented_control(
        "Free residues; all others are protected",
        options,
        default=options[0],
        format_func={"regions": "binding loops (CDRs)", "all": "all", "own": "choose"}.__getitem__,
        key=f"steer_free_{antibody}",
        required=True,
    )
    free: tuple[int, ...] = ()
    if which == "regions":
        free = antibodies.determining(sequence)
    elif which == "own":
        words = right.text_input(
            "Residues, counted from 1", "26-33, 51-58", key="steer_places", max_chars=500
        )
        free = places(words, len(sequence))
    shown_free = set(free) or set(range(len(sequence)))
    right.caption(f"{len(shown_free)} of {len(sequence)} residues are free.")
    return {"sequence": sequence, "light": light, "free": free}


def places(words: str, length: int) -> tuple[int, ...]:
    """Residues as typed ("26-33, 51"), counted from 0.

    Raises:
        UserError: not of that form, or outside the protein.
    """
    residues: set[int] = set()
    for part in filter(None, re.split(r"[,;\s]+", words.strip())):
        if not (match := re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)):
            raise UserError("Give residues as numbers and ranges, such as 26-33, 51-58.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= length:
            raise UserError(f"The protein has residues 1 to {length}: correct {part}.")
        residues.update(range(first - 1, last))
    if not residues:
        raise UserError("No residue may change: set some free, such as 26-33.")
    return tuple(sorted(residues))


def ranges(residues: Iterable[int]) -> str:
    """Residues counted from 0 as a person types them, counted from 1: see ``places``."""
    words: list[str] = []
    ordered = sorted(residues)
    for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0]):
        (_, first), *others = run
        words.append(f"{first + 1}-{others[-1][1] + 1}" if others else str(first + 1))
    return ", ".join(words)


def _goals(length: int, first: Column, more: Column) -> tuple[Goal, ...]:
    names = list(PROPERTIES)
    goals = []
    for number, place in enumerate((first, more), start=1):
        name, direction = place.columns([3, 2])
        options = names if number == 1 else [None, *names]
        chosen = name.selectbox(
            "Goal" if number == 1 else "Second goal",
            options,
            options.index("gravy") if number == 1 else 0,
            format_func=lambda n: PROPERTIES[n].title if n else "none",
            key=f"steer_goal_{number}",
            help=PROPERTIES["gravy"].what if number == 1 else None,
        )
        way = direction.segmented_control(
            "Direction",
            ["up", "down"],
            default="up",
            key=f"steer_way_{number}",
            required=True,
            disabled=chosen is None,
        )
        if chosen:
            stretch = _stretch(name, number, length) if PROPERTIES[chosen].state else None
            goals.append(Goal(property=chosen, direction=way, stretch=stretch))
    return tuple(goals)


def _stretch(column: Column, number: int, length: int) -> tuple[int, int] | None:
    """The residues whose predicted structure is meant; None for the whole protein."""
    words = column.text_input(
        "Of residues, counted from 1; all if empty",
        "",
        placeholder="10-30",
        key=f"steer_stretch_{number}",
        max_chars=20,
    )
    if not words.strip():
        return None
    within = places(words, length)
    if len(within) != within[-1] - within[0] + 1:
        raise UserError(
            "The structure of one stretch can be a goal: give one range, such as 10-30."
        )
    return within[0], within[-1] + 1


def _neurons(model: Model, goals: tuple[Goal, ...]) -> dict:
    left, middle, right = st.columns([3, 2, 3])
    choose = left.selectbox(
        "Neurons",
        list(CHOICES),
        format_func=CHOICES.__getitem__,
        key="steer_choose",
        persist_state="session",
    )
    a = middle.slider("a, in h' = a h + b", -_MOST_A, _MOST_A, 3.0, 0.05, key="steer_a")
    b = right.slider("b", -_MOST_B, _MOST_B, 1.0, 0.05, key="steer_b")
    given: dict[str, Any] = {"a": a, "b": b}
    if choose == "basket":
        basket = state.basket()
        if not len(basket):
            raise UserError("The basket is empty: collect neurons, or choose them by effect.")
        words = f"the basket of {len(basket)}"
        return given | {"choose": "given", "neurons": tuple(map(str, basket)), "given_by": words}
    if choose == "labels":
        return given | _by_label(model, goals)
    count = left.number_input("How many", 1, 20_000, 100, key="steer_count")
    chosen = components.pills("Of", "steer_components")
    if not chosen:
        raise UserError("Choose at least one component.")
    given |= {"choose": choose, "count": count, "components": chosen}
    if choose in ("protein", "residue"):
        titles = corpora.titles()
        names = list(titles)
        given["corpus"] = right.selectbox(
            "Over",
            names,
            names.index(use_of(model.name).corpus),
            format_func=titles.__getitem__,
            key=f"steer_corpus_{use_of(model.name).corpus}",
        )
        label_sets.corpus_ready(given["corpus"])
    return given


def _by_label(model: Model, goals: tuple[Goal, ...]) -> dict:
    """Neurons whose labels fit some words; the paper's way."""
    labels = label_sets.current(model.name)
    if labels is None:
        raise UserError(
            "No neuron of this model has a label yet: make labels on the page “What does each "
            "neuron know?”, or choose by effect."
        )
    left, middle, right = st.columns([3, 2, 3])
    title = PROPERTIES[goals[0].property].title.lower()
    guess = f'"{"high" if goals[0].direction == "up" else "low"} {title.split(" (")[0]}"'
    words = left.text_input("Labels with", guess, max_chars=200, key=f"steer_words_{guess}")
    least = middle.slider("Correlation, at least", 0.0, 1.0, 0.2, 0.05, key="steer_least")
    rows = search_words(labels.rows, words)
    rows = rows[rows["correlation"].fillna(0) >= least]
    as_paper = False
    if (rows["component"] == "residual").any():
        as_paper = right.toggle(
            "As the paper's code",
            key="steer_as_paper",
            help="Its labels are for dimensions of the residual stream, but it changes FFN units "
            "with the same numbers.",
        )
    if rows.empty:
        raise UserError("No neuron has such a label: use other words, or a lower correlation.")
    neurons = NeuronSet(
        (int(r.layer), "ffn" if as_paper else r.component, int(r.neuron)) for r in rows.itertuples()
    )
    right.caption(f"{len(neurons):,} neurons. Labels are made from correlation: see the caveats.")
    by = f"labels with {words}" + (", as the paper's code" if as_paper else "")
    return {"choose": "given", "neurons": tuple(map(str, neurons)), "given_by": by}
