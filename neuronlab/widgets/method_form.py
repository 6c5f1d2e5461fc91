"""How the neurons of a prompt are scored: method, components, positions, and what else it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

from neuronlab.attribution import METHODS, Method, method
from neuronlab.attribution.request import TOLERANCE
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import Component
from neuronlab.widgets.state import form_key

_POSITIONS = {"predicted": "predicted position", "all": "all positions"}
_OBJECTIVES = {
    "probability": "probability",
    "log_probability": "log-probability",
    "logit": "logit",
}
_BASELINES = {
    "zero": "all neurons at zero",
    "input": "an uninformative input",
    "mean": "the mean over replaced tokens",
}
_VARIANTS = {"sound": "sound: complete", "authors": "as the authors wrote it"}
_RANKINGS = ("score", "specific score")
_TOLERANCES = (TOLERANCE, 0.01, 0.002)


# Of a spec, what this form asks.
FIELDS = frozenset(
    {
        "method",
        "components",
        "positions",
        "specific",
        "objective",
        "baseline",
        "engine",
        "tolerance",
        "variant",
        "seed",
    }
)


def words(spec: Mapping[str, Any]) -> dict[str, str]:
    """How neurons were scored, as a stored spec has it and in the form's words."""
    chosen = method(spec["method"])
    settings = {
        "Components": ", ".join(COMPONENT_NAMES[c] for c in spec.get("components") or ()),
        "Neurons at": _POSITIONS.get(spec.get("positions", ""), ""),
        "Ranked by": _RANKINGS[bool(spec.get("specific"))],
    }
    if chosen.differentiates and spec.get("foil") is None:
        settings["Explain the target's"] = _OBJECTIVES.get(spec.get("objective", ""), "")
    if chosen.integrates:
        settings["The path begins at"] = _BASELINES.get(spec.get("baseline", ""), "")
        settings["Engine"] = spec.get("engine", "")
        if spec.get("engine") == "fast" and "tolerance" in spec:
            settings["Error allowed in a layer"] = f"{spec['tolerance']:.1%}"
    if len(chosen.variants) > 1:
        settings["Form"] = _VARIANTS.get(spec.get("variant", ""), "")
    if chosen.draws and "seed" in spec:
        settings["Seed"] = str(spec["seed"])
    return {name: value for name, value in settings.items() if value}


def draw(form: dict[str, Any], there: Collection[Component]) -> dict[str, Any]:
    """The method, its components and positions, and what few people change: fields of a spec.

    Args:
        form: what they are at first.
        there: the components that the model has.
    """
    first, second, third, fourth = st.columns([1.6, 2.4, 1.5, 1.1], vertical_alignment="bottom")
    names = list(METHODS)
    with first:
        name = st.selectbox(
            "Method",
            names,
            index=names.index(form["method"]),
            format_func=lambda n: METHODS[n].title,
            key=form_key("method"),
            help="\n".join(
                f"- **{m.title}**: {m.summary} Cost: {m.cost}." for m in METHODS.values()
            ),
        )
    chosen = method(name)
    offered = [c for c in chosen.components if c in there]
    with second:
        components = st.pills(
            "Components",
            offered,
            selection_mode="multi",
            default=[c for c in form["components"] if c in offered] or chosen.default_components,
            format_func=COMPONENT_NAMES.__getitem__,
            key=form_key(f"components_{'_'.join(offered)}"),
            wrap=True,
        )
    places = [p for p in _POSITIONS if p == "predicted" or chosen.everywhere]
    with third:
        positions = st.selectbox(
            "Neurons at",
            places,
            index=places.index(form["positions"]) if form["positions"] in places else 0,
            format_func=_POSITIONS.__getitem__,
            key=form_key("positions" if chosen.everywhere else "position"),
            help="At which tokens neurons get a score. Over all positions scores are summed; the "
            "top neurons keep one per token.",
        )
    specific = _specific(form)
    settings = {
        "method": name,
        "components": tuple(components),
        "positions": positions,
        "specific": specific,
    }
    with fourth, st.popover("More", icon=":material/tune:", width="stretch"):
        more = _more(chosen, form)
        if not more:
            st.caption("This method has no further settings.")
    return settings | more


def _specific(form: dict[str, Any]) -> bool:
    """Whether what is this answer's alone comes first."""
    ranking = st.segmented_control(
        "Ranked by",
        _RANKINGS,
        default=_RANKINGS[bool(form.get("specific"))],
        key=form_key("specific"),
        required=True,
        wrap=True,
        help="Many neurons speak for every answer of a kind. Specific: each score less its mean "
        "over about eight bystanders, other answers that are asked in the same way, so that what "
        "is this answer's alone comes first. It takes about nine times as long; others judge it.",
    )
    return ranking == _RANKINGS[1]


def _more(chosen: Method, form: dict[str, Any]) -> dict[str, Any]:
    """What few people change, as far as the method has it."""
    settings: dict[str, Any] = {}
    if chosen.differentiates and form.get("foil") is None:
        settings["objective"] = st.selectbox(
            "Explain the target's",
            list(_OBJECTIVES),
            index=list(_OBJECTIVES).index(form["objective"]),
            format_func=_OBJECTIVES.__getitem__,
            key=form_key("objective"),
        )
    if chosen.integrates:
        settings |= _path(chosen, form)
    if len(chosen.variants) > 1:
        settings["variant"] = st.selectbox(
            "Form",
            chosen.variants,
            index=chosen.variants.index(form["variant"]),
            format_func=_VARIANTS.__getitem__,
            key=form_key("variant"),
            help="The authors multiply by the activation, not by its distance from the "
            "baseline: scores then do not add up.",
        )
    if chosen.draws:
        settings["seed"] = st.number_input("Seed", 0, 2**31, form["seed"], key=form_key("seed"))
    return settings


def _path(chosen: Method, form: dict[str, Any]) -> dict[str, Any]:
    """Where the path of integration begins, and how exactly it is followed."""
    baselines, engines = chosen.baselines, list(chosen.engines)
    settings: dict[str, Any] = {
        "baseline": st.selectbox(
            "The path begins at",
            baselines,
            index=baselines.index(form["baseline"]) if form["baseline"] in baselines else 0,
            format_func=_BASELINES.__getitem__,
            key=form_key(f"baseline_{len(baselines)}"),
            help="Uninformative: all tokens replaced by the mask or the end of text. Mean: over"
            " inputs in which one token is replaced, each in turn.",
        ),
        "engine": st.selectbox(
            "Engine",
            engines,
            index=engines.index(form["engine"]),
            key=form_key("engine"),
            help="Captum computes the same numbers, many times slower: for checking.",
        ),
    }
    if settings["engine"] == "fast":
        choices = sorted({*_TOLERANCES, form["tolerance"]}, reverse=True)
        settings["tolerance"] = st.selectbox(
            "Error allowed in a layer",
            choices,
            index=choices.index(form["tolerance"]),
            format_func=lambda t: f"{t:.1%}",
            key=form_key("tolerance"),
            help="How far off a layer's scores may be, as estimated, as a share of all of them "
            "together. Less takes longer.",
        )
    return settings
