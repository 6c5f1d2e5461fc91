"""The methods there are: pages, CLI and notebooks list them from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from neuronlab.attribution.request import Attribution, Request, Variant
from neuronlab.errors import UserError
from neuronlab.models.components import ALL_COMPONENTS, COMPONENTS, Component

Engine = Literal["fast", "captum"]
Baseline = Literal["zero", "input", "mean"]
LAST = 1000


@dataclass(frozen=True)
class Method:
    """An attribution method.

    The command line reads ``name`` and ``order`` off the file, without running it: there both are
    written out.

    Attributes:
        order: where it is listed: the lower first, and those without one last.
        needs, cost: in plain words, shown beside the choice.
        engines: implementations by name; "fast" is the default.
        differentiates: whether objective and target enter at all.
        draws: whether the seed enters.
        integrates: whether it walks a path (so baseline, tolerance and steps matter).
        components: those it can score.
        everywhere: whether it can score neurons at all positions.
        baselines: where its path may begin (see ``attribute``), the default first.
        variants: forms it has; the default first.
        contrasts: whether it can explain a target in comparison with a foil, or asks for neither.
        tokens_each: through how many tokens of the unembedding it sends every neuron.
    """

    name: str
    title: str
    paper: str
    summary: str
    needs: str
    cost: str
    engines: dict[str, Callable[[Request], Attribution]]
    order: int = LAST
    differentiates: bool = True
    draws: bool = False
    integrates: bool = False
    components: tuple[Component, ...] = ALL_COMPONENTS
    everywhere: bool = True
    baselines: tuple[Baseline, ...] = ("zero", "input", "mean")
    variants: tuple[Variant, ...] = ("sound",)
    contrasts: bool = True
    tokens_each: int = 0

    @property
    def default_components(self) -> tuple[Component, ...]:
        """Query, key, value and FFN, as far as the method can score them."""
        return tuple(c for c in COMPONENTS if c in self.components)

    def check_foil(self, foil: str | int | None) -> None:
        """Raise UserError where there is a foil and the method cannot compare."""
        if foil is not None and not self.contrasts:
            raise UserError(
                f"{self.title} scores a target by itself, not against a foil: leave the foil out, "
                "or choose another method."
            )


METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Take a method in, where its order says; one of the same name is replaced.

    A method's own file calls it, and every file of the package's folder is imported: nothing else
    names the method.
    """
    METHODS[method.name] = method
    for name, _ in sorted(METHODS.items(), key=lambda item: item[1].order):
        METHODS[name] = METHODS.pop(name)


def method(name: str) -> Method:
    """The method of that name. Raises UserError, listing the names there are."""
    if not isinstance(name, str) or name not in METHODS:
        shown = " ".join(str(name).split())[:60]
        raise UserError(f"There is no method '{shown}'; there is {', '.join(METHODS)}.")
    return METHODS[name]


def methods() -> pd.DataFrame:
    """One row per method: name, title, paper, what it needs, what it costs, engines."""
    columns = ("name", "title", "paper", "summary", "needs", "cost")
    rows = [
        {c: getattr(m, c) for c in columns} | {"engines": ", ".join(m.engines)}
        for m in METHODS.values()
    ]
    return pd.DataFrame(rows)
