"""Components in a spec: each once and in one order, so that one question has one key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from neuronlab.models import COMPONENTS, CROSS, READABLE, Component


def _of(allowed: Sequence[Component]) -> AfterValidator:
    def ordered(components: tuple[Component, ...]) -> tuple[Component, ...]:
        if not components or not set(components) <= set(allowed):
            raise ValueError(f"choose components from {', '.join(allowed)}")
        return tuple(c for c in allowed if c in components)

    return AfterValidator(ordered)


# Those with attributions, and those whose activations alone are read; no study of many texts or
# proteins is of a decoder with cross-attention.
AttributedComponents = Annotated[tuple[Component, ...], _of(COMPONENTS)]
ReadComponents = Annotated[tuple[Component, ...], _of([c for c in READABLE if c not in CROSS])]
