"""The form of a run on submodels."""

from __future__ import annotations

from typing import Any

import streamlit as st

from neuronlab.attribution.streamed import SCORED
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import COMPONENTS, Model
from neuronlab.studies.submodels import SubmodelsSpec
from neuronlab.widgets.guard import complain
from pages.classifier.ranking import METHODS

SELECTIONS = {"raw": "raw", "z": "z-scored", "quota": "quota per matrix"}
ABLATIONS = {"zero": "zero", "mean": "their mean"}


def form(model: Model) -> SubmodelsSpec | None:
    """Scores, submodels and proteins."""
    start = SubmodelsSpec.like_tuned(model.name, model.revision)
    choices = _choices(start)
    with st.expander("Settings"):
        kept, settings = _settings(start)
    if not all(choices.values()):
        complain("Choose at least one of each.")
        return None
    try:
        fractions = tuple(float(part) / 100 for part in kept.replace("%", "").split(","))
        return SubmodelsSpec.like_tuned(
            model.name, model.revision, fractions=fractions, **choices, **settings
        )
    except ValueError:
        complain("Give the kept shares in percent, above 0 and at most 100, such as 50, 10, 1.")
        return None


def _choices(start: SubmodelsSpec) -> dict[str, tuple[str, ...]]:
    """Of each field of the spec, which of its values are tried."""
    left, right = st.columns(2)
    choices: dict[str, list] = {
        "methods": left.pills(
            "Scores",
            SCORED,
            selection_mode="multi",
            default=SCORED,
            format_func=METHODS.__getitem__,
            key="sub_methods",
            wrap=True,
        ),
        "selections": right.pills(
            "Choose by",
            list(SELECTIONS),
            selection_mode="multi",
            default=list(start.selections),
            format_func=SELECTIONS.__getitem__,
            key="sub_selections",
            help="Raw scores favour whichever projection is larger; z-scores or a quota do not.",
        ),
        "components": left.pills(
            "Neurons",
            COMPONENTS,
            selection_mode="multi",
            default=list(start.components),
            format_func=COMPONENT_NAMES.__getitem__,
            key="sub_components",
        ),
        "ablations": right.pills(
            "The others go to",
            list(ABLATIONS),
            selection_mode="multi",
            default=list(start.ablations),
            format_func=ABLATIONS.__getitem__,
            key="sub_ablations",
        ),
    }
    return {field: tuple(values) for field, values in choices.items()}


def _settings(start: SubmodelsSpec) -> tuple[str, dict[str, Any]]:
    """The kept shares as typed, and the fields of the spec that few people change."""
    one, two, three = st.columns(3)
    kept = one.text_input("Kept, in %", "50, 25, 10, 1", key="sub_fractions")
    scored = two.number_input("Proteins that score", 2, 5000, start.scored, key="sub_scored")
    tested = three.number_input(
        "Test proteins (0: all)", 0, 20_000, start.tested or 0, key="sub_tested"
    )
    seeds = one.number_input("Random selections", 1, 50, start.seeds, key="sub_seeds")
    baseline = two.selectbox(
        "Integrated gradients begin at",
        ["input", "zero"],
        format_func={"input": "masked sequence", "zero": "zero"}.__getitem__,
        key="sub_baseline",
    )
    return kept, {
        "scored": scored,
        "tested": max(tested, 4) if tested else None,
        "seeds": seeds,
        "baseline": baseline,
    }
