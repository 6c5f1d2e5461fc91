"""What steering found, in words: whether it worked, at what price, and what to beware of."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM
from neuronlab.proteins.features import PROPERTIES
from neuronlab.steering.chains import STEERED, UNSTEERED
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import exports
from neuronlab.widgets.guard import plain
from pages.steering.form import CHOICES

# Of the start: with less left a chain is another protein.
_KEPT = 0.5
# Chains of which Student's interval is wider than what they can reach.
_FEW = 2


def title(goal: dict) -> str:
    """What a goal is called; results of 0.1.0 have the property's name alone."""
    return goal.get("title", PROPERTIES[goal["property"]].title)


def headline(goal: dict) -> None:
    """The result in a few words, beside the control that it stands out from less."""
    feature = PROPERTIES[goal["property"]]
    unit = f" {feature.unit}" if feature.unit else ""
    control = goal["control"]
    exports.finding(
        f"headline_{goal['property']}",
        "What was found",
        f"**{plain(title(goal))}** {goal['direction']}: from {goal['start']:+.3g}{unit} at the "
        f"start, steered chains reach **{goal[STEERED]['mean']:+.3g}**, unsteered ones "
        f"{goal[UNSTEERED]['mean']:+.3g}; {CONTROLS[control]}: {goal[control]['mean']:+.3g}. "
        f"{verdict(goal)}",
    )


def about(goal: dict, spec: SteeringSpec, activity: dict[str, float], finals: pd.DataFrame) -> None:
    """How far beyond unsteered chains, at what price, and what was changed."""
    st.markdown(beside_unsteered(goal, finals))
    by = CHOICES.get(spec.choose) or plain(spec.given_by) or "given"
    products = "" if spec.precision == "float32" else f" Products in {spec.precision}."
    st.caption(
        f"Neurons {by}; a = {spec.a:g}, b = {spec.b:g}; {spec.chains} chains of {spec.steps} "
        f"steps, and as many of each of {spec.random_sets} random sets of either kind. Those "
        f"matched in activity are {times(activity[AS_ACTIVE])} as active as the chosen neurons "
        f"along the start, any random ones {times(activity[RANDOM])} (geometric means).{products}"
    )


def times(ratio: float) -> str:
    """How often one is the other: "98%", "5.6 times"."""
    return f"{ratio:.1f} times" if round(ratio, 2) > 1 else f"{ratio:.0%}"


def beside_unsteered(goal: dict, finals: pd.DataFrame) -> str:
    """How far steered chains are from unsteered ones that draw the same, and at what price."""
    low, high = goal["shift_interval"]
    shift = goal[STEERED]["mean"] - goal[UNSTEERED]["mean"]
    surprise = finals.groupby("condition")["perplexity"].mean()
    dearer = surprise[STEERED] >= surprise[UNSTEERED]
    price = "The price: a" if dearer else "The unchanged model is not more surprised: a"
    caution = "" if dearer else " What repeats itself is easy to guess, and no better for that."
    chains = int((finals["condition"] == STEERED).sum())
    interval = f"95 % interval over chains {low:+.3g} to {high:+.3g}"
    if chains <= _FEW:
        interval = f"{chains} chains are too few for an interval"
    return (
        f"Beyond unsteered chains: {shift:+.3g}, {interval}. {price} pseudo-perplexity of "
        f"**{surprise[STEERED]:.3g}** instead of {surprise[UNSTEERED]:.3g} "
        f"(1 is no surprise, 20 is a guess).{caution}"
    )


def verdict(goal: dict) -> str:
    """Whether it worked, by the rank among the sets of the stronger control."""
    words = CONTROLS[goal["control"]]
    p = f"p = {goal['p_value']:.2g}, and can be no smaller than {goal['floor']:.2g}"
    if not goal["p_value"] < 0.05:
        return f"{_other_way(goal)}**Not clearly further than {words}** ({p})."
    low, high = goal["shift_interval"]
    if goal["direction"] == "down":
        low, high = -high, -low
    if low > 0:
        return f"It moves **as asked, more than {words}** ({p})."
    if high < 0:
        return f"**Not as asked**: the other way than unsteered chains, if more than {words} ({p})."
    return f"More than {words} ({p}), but **not told apart from unsteered chains**."


def _other_way(goal: dict) -> str:
    """That steered chains left the start and unsteered chains behind on the side not asked for."""
    sign = 1 if goal["direction"] == "up" else -1
    others = (goal["start"], goal[UNSTEERED]["mean"])
    if any(sign * (goal[STEERED]["mean"] - other) >= 0 for other in others):
        return ""
    side = "below" if sign == 1 else "above"
    return (
        f"Steered chains moved **the other way than asked**, {side} the start and unsteered ones. "
    )


def warnings(finals: pd.DataFrame) -> None:
    """What a person must not overlook."""
    steered = finals[finals["condition"] == STEERED].mean(numeric_only=True)
    plainly = finals[finals["condition"] == UNSTEERED].mean(numeric_only=True)
    if steered["entropy"] < 0.7 * plainly["entropy"]:
        st.warning(
            f"The free residues have become monotonous: {steered['entropy']:.1f} bits against "
            f"{plainly['entropy']:.1f} without steering. Lower b, or fewer neurons.",
            icon=":material/warning:",
        )
    if steered["identity"] < _KEPT:
        st.warning(
            f"Only {steered['identity']:.0%} of the start is left, in the mean over chains "
            f"({plainly['identity']:.0%} without steering): this is another protein, and hardly "
            "one that folds. Free fewer residues, or take fewer steps.",
            icon=":material/warning:",
        )
