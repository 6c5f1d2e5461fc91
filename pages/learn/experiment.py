"""What lessons measure, by name: numbers for the text, a figure, and which answer was right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN
from neuronlab.widgets import exports
from pages.learn.lesson import Step


@dataclass(frozen=True)
class Outcome:
    """What an experiment has found.

    Attributes:
        numbers: for the text, by the names that stand in it.
        draw: shows it.
        answer: the number of the choice that the measurement bears out, from 0; None where nothing
            is asked.
    """

    numbers: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[], None] = lambda: None
    answer: int | None = None


Experiment = Callable[..., Outcome]
EXPERIMENTS: dict[str, Experiment] = {}


def experiment(function: Experiment) -> Experiment:
    """Register a function of a step's settings, under its own name."""
    EXPERIMENTS[function.__name__] = function
    return function


def plot(figure: go.Figure, table: pd.DataFrame, name: str, alt: str) -> None:
    """A small figure of a lesson, with its table; see ``exports.chart``."""
    exports.chart(figure.update_layout(height=260, margin=MARGIN), table, f"learn_{name}", alt)


def measure(step: Step) -> Outcome:
    """What a step finds. Raises UserError where it cannot be measured here."""
    return EXPERIMENTS[step.experiment](**step.settings) if step.experiment else Outcome()


def band(value: float, *limits: float) -> int:
    """In which of the bands between ascending limits a value lies, from 0."""
    return sum(value >= limit for limit in limits)
