"""What steering aims at: a property, of the whole protein or a stretch of it, up or down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from neuronlab.proteins import secondary
from neuronlab.proteins.features import PROPERTIES, substitution_effects


class Goal(BaseModel):
    """A property of ``PROPERTIES`` and where it is to go.

    Attributes:
        stretch: of a predicted structure: its first residue, counted from 0, and the one behind
            its last; None is the whole protein.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def sign(self) -> int:
        """1 for up and -1 for down."""
        return 1 if self.direction == "up" else -1

    @property
    def title(self) -> str:
        """In plain words."""
        title = PROPERTIES[self.property].title
        if self.stretch is None:
            return title
        return f"{title}, residues {self.stretch[0] + 1} to {self.stretch[1]}"

    @property
    def predicted(self) -> bool:
        """Whether a model predicts it: what a residue does to it then depends on all others."""
        return bool(PROPERTIES[self.property].state)

    def values(self, sequences: Sequence[str]) -> Float[np.ndarray, " protein"]:
        """The property of sequences."""
        feature = PROPERTIES[self.property]
        if feature.state:
            return secondary.shares(sequences, feature.state, self.stretch)
        return np.array([feature.compute(sequence) for sequence in sequences], float)

    def value(self, sequence: str) -> float:
        """The property of a sequence."""
        return float(self.values([sequence])[0])

    def gains(self, sequence: str, places: Sequence[int]) -> Float[np.ndarray, "place letter"]:
        """How much the property rises with each amino acid at some places, counted from 0.

        To first order that of a predicted structure, exact that of all others.
        """
        feature = PROPERTIES[self.property]
        if feature.state:
            gains = secondary.substitution_gains(sequence, feature.state, self.stretch)
            return gains[list(places)]
        return substitution_effects(sequence, feature.compute, places)

    property: str = "gravy"  # below those that need Python's own
    direction: Literal["up", "down"] = "up"
    # Not written where there is none: a spec of before there were stretches keeps its key.
    stretch: tuple[int, int] | None = Field(None, exclude_if=lambda stretch: stretch is None)

    @field_validator("property")
    @classmethod
    def _one_of_properties(cls, name: str) -> str:
        if name not in PROPERTIES:
            raise ValueError(f"there is no property '{name}'; there is {', '.join(PROPERTIES)}")
        return name

    @model_validator(mode="after")
    def _can_be_of_a_stretch(self) -> Goal:
        if self.stretch is not None:
            if not self.predicted:
                raise ValueError("only a predicted structure can be asked of a stretch")
            if not 0 <= self.stretch[0] < self.stretch[1]:
                raise ValueError("a stretch is its first residue, from 0, and the one behind")
        return self
