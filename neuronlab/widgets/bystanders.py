"""What else broke? What a change does to other prompts, and to the text that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from neuronlab.figures.charts import visible
from neuronlab.figures.report import Part
from neuronlab.models import Model, Prompt
from neuronlab.neurons import Intervention, NeuronSet, Suppress
from neuronlab.neurons.effect import RANDOM_SETS
from neuronlab.neurons.generation import generate_many
from neuronlab.neurons.specificity import Bystander, Specificity, specificity
from neuronlab.studies.bases import bystanders
from neuronlab.studies.bases.bystanders import PROTEIN, RESIDUE, SAME
from neuronlab.widgets import exports
from neuronlab.widgets.guard import enumerated, plain

# Names, for the cache, the change that the headline and the panel below both ask about.
SUPPRESSED = ("suppressed",)
_TOKENS = 15
_NAMED = 4
# From so many times as much on, a change is called specific, if random sets are less so.
_SPECIFIC = 3.0
# Bystanders that ask for much the same as a prompt does: the test of what is an answer's alone.
_ALIKE = (SAME, RESIDUE, PROTEIN)
# Of the log-probability: a factor of 1.1.
_HARDLY = 0.1


@st.cache_data(max_entries=64, show_spinner=False)
def chosen(
    _model: Model, name: str, revision: str, prompt: Prompt, two: bool = False
) -> list[Bystander]:
    """The bystanders of a prompt; cached for all sessions."""
    return (bystanders.two if two else bystanders.choose)(_model, prompt)


def draw(
    model: Model,
    prompt: Prompt,
    neurons: NeuronSet,
    intervention: Callable[[], Intervention],
    key: tuple,
    *,
    in_headline: bool = False,
) -> None:
    """The section below a proof.

    Args:
        intervention: makes that on the neurons, which may take a pass of the model.
        key: what names the change among others, for the cache.
        in_headline: whether the page's ``headline`` is of this change, so that random sets are
            changed in any case: nothing is then measured twice.
    """
    named = model, model.name, model.revision
    others = chosen(*named, prompt.unasked)
    if others:
        st.markdown("### What else broke?")
        beside = st.toggle(
            f"Beside {RANDOM_SETS} random sets",
            key="bystanders_random",
            help="Random neurons of the same layers that are as active, changed in the same way. "
            f"They take {RANDOM_SETS} times as long.",
            persist_state="session",
        )
        measured = _measured(
            *named,
            prompt,
            tuple(neurons),
            key,
            RANDOM_SETS if beside or in_headline else 0,
            others,
            intervention,
        )
        if not beside:
            measured = measured.alone()
        st.markdown(summary(measured))
        _table(measured)
        part = Part("What else broke?", table=measured.bystanders, text=summary(measured))
        exports.reported("bystanders", part)
    if model.kind == "causal" and model.alphabet == "text":
        _texts(model, prompt.text, tuple(neurons), key, intervention)


def suppressed(
    model: Model, prompt: Prompt, neurons: NeuronSet, random_sets: int = 0, *, two: bool = False
) -> Specificity | None:
    """What switching neurons off does to bystanders; None where there are none to ask.

    Args:
        two: ask no more than that many of them, which takes a second where all take many.
    """
    named = model, model.name, model.revision
    others = chosen(*named, prompt.unasked, two)
    if not others:
        return None
    return _measured(
        *named,
        prompt,
        tuple(neurons),
        SUPPRESSED,
        random_sets,
        others,
        lambda: Suppress(neurons),
    )


@st.cache_data(max_entries=256, show_spinner="Asking bystanders")
def _measured(
    _model: Model,
    name: str,
    revision: str,
    prompt: Prompt,
    neurons: tuple,
    key: tuple,
    random_sets: int,
    others: Sequence[Bystander],
    _intervention: Callable[[], Intervention],
) -> Specificity:
    # Means over the prompt are read once, not for every random set.
    made = _intervention()
    return specificity(
        _model,
        prompt,
        NeuronSet(neurons),
        lambda changed: replace(made, neurons=changed),
        others,
        random_sets=random_sets,
    )


def headline(model: Model, prompt: Prompt, neurons: NeuronSet) -> None:
    """How many times as much an answer changes as bystanders do, beside random sets: one line."""
    of = suppressed(model, prompt, neurons, RANDOM_SETS)
    if of is None:
        return
    times = "" if of.quotient is None else f" **{of.quotient:.1f}**"
    exports.finding(
        "specificity",
        "Specificity: the best neurons, suppressed",
        f"Specificity{times}: log-probability {of.change:+.2f} of the answer, "
        f"{of.mean:+.2f} of {_asked(of)}{_beside(of)}. "
        f"{_called(of)}",
    )


def summary(of: Specificity) -> str:
    """What became of bystanders, in words, and how specific that is."""
    rows, stays = of.bystanders, of.stays
    moved = f"No longer first: {_named(rows[~stays])}" if not stays.all() else ""
    kept = f"Still first: {_named(rows[stays])}" if stays.any() else ""
    times = of.quotient
    as_much = "" if times is None else f", so **{times:.1f} times** as much"
    return (
        f"{'. '.join(filter(None, (moved, kept)))}. The answer's log-probability changes by "
        f"{of.change:+.2f}, that of {_asked(of)} by "
        f"{of.mean:+.2f}{as_much}{_beside(of)}. "
        f"**{_called(of)}**"
    )


def _asked(of: Specificity) -> str:
    count = len(of.bystanders)
    return "1 bystander" if count == 1 else f"{count} bystanders in the mean"


def _beside(of: Specificity) -> str:
    if not of.controls:
        return ""
    low, high = min(of.differences), max(of.differences)
    return (
        f". The difference is {of.difference:+.2f}; of {len(of.controls)} random sets that are as "
        f"active it is {low:+.2f} to {high:+.2f} (p = {of.p:.2g})"
    )


def _called(of: Specificity) -> str:
    if abs(of.change) < _HARDLY:
        return "The answer's log-probability hardly changes."
    if of.controls and of.p > 0.05:
        return "Random sets are as specific: this shows nothing about this answer alone."
    if abs(of.mean) > abs(of.change):
        return "Bystanders change more than the answer does."
    if of.quotient is not None and of.quotient < _SPECIFIC:
        return "These neurons carry much besides this answer."
    if not of.bystanders["kind"].isin(_ALIKE).any():
        return (
            "They spare these bystanders more than the answer, but none of them is like it: "
            "whether they carry this answer alone stays open."
        )
    return "These neurons carry this answer more than others."


def _named(rows: pd.DataFrame) -> str:
    """The answers of bystanders; many proteins have the same one, so theirs say where."""
    shown = [
        f"**{plain(visible(row.answer))}**"
        + (f" ({plain(row.title)})" if row.kind in (RESIDUE, PROTEIN) else "")
        for row in rows.rename(columns={"name": "title"}).itertuples()
    ]
    if len(shown) > _NAMED:
        return f"{', '.join(shown[:_NAMED])} and {len(shown) - _NAMED} more"
    return enumerated(shown)


def _table(of: Specificity) -> None:
    rows = of.bystanders
    shown = pd.DataFrame(
        {
            "bystander": rows["name"],
            "kind": rows["kind"],
            "first choice": rows["answer"].map(visible),
            "before": 100 * rows["before"],
            "after": 100 * rows["after"],
            "instead": [
                "" if now == then else visible(now)
                for now, then in zip(rows["instead"], rows["answer"], strict=True)
            ],
            "change": rows["change"],
            "random sets": rows["random"],
        }
    ).dropna(axis="columns")
    percent = st.column_config.NumberColumn(format="%.3g%%")  # of a small one digits are left
    nats = st.column_config.NumberColumn(format="%+.2f", help="of the log-probability")
    st.dataframe(
        shown,
        hide_index=True,
        key="bystanders",
        column_config={
            "before": percent,
            "after": percent,
            "change": nats,
            "random sets": nats,
        },
    )
    exports.tables(rows, "bystanders")


@st.cache_data(max_entries=128, show_spinner="Writing")
def _written(
    _model: Model,
    name: str,
    revision: str,
    text: str,
    neurons: tuple,
    key: tuple,
    _intervention: Callable[[], Intervention],
) -> list[str]:
    return generate_many(_model, text, [None, _intervention()], tokens=_TOKENS)


def _texts(
    model: Model,
    text: str,
    neurons: tuple,
    key: tuple,
    intervention: Callable[[], Intervention],
) -> None:
    """How the model goes on, as it is and after the change."""
    both = _written(model, model.name, model.revision, text, neurons, key, intervention)
    for column, title, written in zip(
        st.columns(2), ("As it is", "After the change"), both, strict=True
    ):
        with column:
            st.caption(f"{title}: the likeliest {_TOKENS} tokens")
            st.markdown(f"{plain(text)} **{plain(visible(written.strip()))}**")
