"""Colours, safe for colour-blind eyes, and names that figures share."""

from typing import NamedTuple

from neuronlab.attribution import METHODS
from neuronlab.models.components import Component
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM, Control

COMPONENT_COLOURS: dict[Component, str] = {
    "query": "#0072B2",
    "key": "#E69F00",
    "value": "#009E73",
    "ffn": "#CC79A7",
    "cross_query": "#5DA9DD",
    "cross_key": "#B98A3E",
    "cross_value": "#3FBF9B",
    "attention": "#56B4E9",
    "residual": "#D55E00",
}
COMPONENT_NAMES: dict[Component, str] = {
    "query": "Query",
    "key": "Key",
    "value": "Value",
    "ffn": "FFN",
    "cross_query": "Cross query",
    "cross_key": "Cross key",
    "cross_value": "Cross value",
    "attention": "Attention",
    "residual": "Residual stream",
}
# In legends and narrow columns; sentences have the words of ``neurons.effect.CONTROLS``.
CONTROL_NAMES: dict[str, str] = {
    RANDOM: "random neurons",
    AS_ACTIVE: "random neurons, matched in activity",
}
# The same, by how columns of tables spell the controls.
NULL_NAMES = {control.key: CONTROL_NAMES[control] for control in Control}
# Of lines and bars side by side, with a dash, a mark and a pattern each: colour is never the only
# carrier of meaning. Okabe and Ito's, but for the last: their black is not seen on a dark page.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C564B"]
DASHES = ["solid", "dash", "dashdot", "dot", "longdash", "solid", "dash"]
MARKS = ["circle", "square", "diamond", "cross", "x", "triangle-up", "star"]
# Where methods are the lines, no two of which are alike.
MANY_COLOURS = [*COLOURS, "#999933", "#AA4499", "#CC6677", "#44AA99", "#6C8EBF", "#8A6FDF"]
MANY_MARKS = [*MARKS, "hexagon", "triangle-down", "bowtie", "hourglass", "pentagon", "star-square"]
PATTERNS = ["", "/", "x", "-", "|", "+"]
# Page and text of the app's two themes: what is framed in it stands on the same ground.
GROUND = {False: ("#FFFFFF", "#1C2129"), True: ("#12161D", "#E9ECF1")}
# Against the target, nothing, for the target.
DIVERGING = ["#B35806", "#F1A340", "#F7F7F7", "#998EC3", "#542788"]
# On a dark page what is nothing is dark, and what is strong is bright.
DIVERGING_DARK = ["#FDB863", "#A9600F", "#1E2530", "#6F5FB0", "#C3B8F5"]
# Of bodies in 3D what is nothing has to be seen, too.
DIVERGING_LIT = ["#FDB863", "#B9701F", "#5A6475", "#7F6FC4", "#C3B8F5"]
# Against and for, where one picture stands on both pages.
ON_EITHER = ("#D9822B", "#7F6FC0")
# From nothing to much, on either page; plotly takes the theme's own (.streamlit/config.toml).
SEQUENTIAL = ["#C3DDEF", "#6FB1DE", "#2C82BA", "#09578A", "#06304E"]
# Of marks and bars, on either page: three to one against both.
AGAINST, NEUTRAL, FOR = "#B35806", "#8A8A8A", "#7F6FC0"


class Line(NamedTuple):
    """How a line among many is drawn."""

    colour: str
    dash: str
    mark: str


def line_of(method: str) -> Line:
    """The line of an attribution method: the same in every figure, whichever others are in it."""
    place = list(METHODS).index(method)
    dash = DASHES[place % len(DASHES)]
    return Line(MANY_COLOURS[place % len(MANY_COLOURS)], dash, MANY_MARKS[place % len(MANY_MARKS)])
