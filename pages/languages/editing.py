"""What editing a fact's neurons in one language does in all: matrix, success rate, fact by fact."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.colours import NULL_NAMES
from neuronlab.figures.languages import edit_bars, edit_matrix
from neuronlab.models import Model
from neuronlab.neurons.effect import percent
from neuronlab.runs import Result
from neuronlab.studies.cross_lingual_editing import (
    CHANGES,
    FACT,
    OTHER,
    SAME,
    SHARED,
    CrossLingualEditingSpec,
    clear,
    stronger,
)
from neuronlab.widgets import exports, facts_form
from neuronlab.widgets.facts_form import LANGUAGES, language_name

_ABOUT = {FACT: "the fact itself", SAME: "another of its relation", OTHER: "of another relation"}
_WORDS = {"suppress": "Switched off (× 0)", "enhance": "Enhanced (× 2)"}


def results(_model: Model | None, spec: CrossLingualEditingSpec, result: Result) -> None:
    """The matrix of edits by languages, what unrelated facts lose, and the success rate."""
    n, table = result.numbers, result.tables["matrix"]
    facts = f"{n['facts']} {'fact' if n['facts'] == 1 else 'facts'}"
    change = st.segmented_control(
        "Change",
        list(CHANGES),
        default="suppress",
        format_func=_WORDS.__getitem__,
        key="edit_change",
        required=True,
        label_visibility="collapsed",
    )
    edits = table[table["change"] == change]
    of_fact = edits[edits["about"] == FACT]
    shared = of_fact[of_fact["edit"] == SHARED]
    exports.finding(
        "headline",
        "What was found",
        f"On {facts}, the language-independent neurons ({shared['neurons'].mean():.1f} a fact) "
        f"change the right answer by {'; '.join(_change(row) for _, row in shared.iterrows())}.",
    )
    st.caption(
        "Beside each: the same change of random neurons of the same layers, or of such as are "
        "matched in activity, whichever does more; in brackets the difference, 95 % over facts."
    )
    if n["empty"]:
        st.caption(f"{n['empty']} of them share no neuron: there this edit changes nothing.")
    facts_form.notes(n)
    in_all(spec, edits)
    if "success" in result.tables:
        success(result.tables["success"])
    with st.expander("Every fact, edit and language"):
        exports.listed(result.tables["edits"], height=280)
        exports.tables(result.tables["edits"], "edits", label="As a file")
        exports.tables(result.tables["facts"], "edited_facts", label="What was asked")
    exports.share(spec.key, study_python(spec), study_command(spec))


def in_all(spec: CrossLingualEditingSpec, edits: pd.DataFrame) -> None:
    """What each edit does in every language, and what it does to other facts.

    Args:
        edits: the matrix, of one change.
    """
    of_fact = edits[edits["about"] == FACT]
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Edit by language measured**: relative change of the fact's own answer.")
        exports.chart(
            edit_matrix(of_fact.replace({"language": LANGUAGES}).replace({"edit": LANGUAGES})),
            edits,
            "edit_matrix",
            "Heatmap of edits by languages: relative change of the right answer's probability.",
        )
    with right:
        about = {key: words for key, words in _ABOUT.items() if key in set(edits["about"])}
        language = st.segmented_control(
            "Measured in",
            list(spec.languages),
            default=spec.languages[0],
            format_func=language_name,
            key=f"edit_language_{spec.key}",
            required=True,
        )
        measured = edits[edits["language"] == language].replace({"edit": LANGUAGES})
        exports.chart(
            edit_bars(measured, about),
            measured,
            "edit_bars",
            "Bars per edit: change of the fact, of another of its relation, of an unrelated one.",
        )
    if len(about) < len(_ABOUT):
        st.caption("There is no other known fact to compare with: ask all facts, or more of them.")


def _change(row: pd.Series) -> str:
    """One language: what the edit does, beside the stronger of the random changes."""
    null = stronger(row)
    low, high = row[f"beyond_{null}_low"], row[f"beyond_{null}_high"]
    verdict = "no interval" if row["facts"] < 2 else f"{low:+.0%} to {high:+.0%}"
    if row["facts"] > 1 and not clear(row):
        verdict += ", not clear"
    return (
        f"**{row['relative']:+.0%} in {language_name(row['language'])}** "
        f"({percent(row['before'])} → {percent(row['after'])}; {NULL_NAMES[null]} "
        f"{row[null]:+.1%} [{verdict}])"
    )


def success(table: pd.DataFrame) -> None:
    """The paper's ratio with its numerators and denominators."""
    st.markdown(
        "**Success rate**: change of the facts over change of unrelated facts, suppressed plus "
        "enhanced. Higher is more specific; near a small denominator it explodes."
    )
    # The rate itself stands before what it is made of: the table is wider than the page.
    first = ["edit", "language", "facts", "success", "success_low", "success_high"]
    shown = table.replace({"edit": LANGUAGES, "language": LANGUAGES})
    shown = shown[[*first, *table.columns.difference(first, sort=False)]].rename(
        columns=lambda name: name.replace("_", " ")
    )
    share = st.column_config.NumberColumn(format="percent")
    config = {
        name: share if name.endswith("related") else st.column_config.NumberColumn(format="%.2f")
        for name in shown.columns[3:]
    }
    st.dataframe(shown, hide_index=True, column_config=config, height=38 + 35 * len(shown))
    exports.tables(table, "success")
