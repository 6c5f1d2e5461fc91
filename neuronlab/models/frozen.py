"""What stands between a state and the logits, made linear: statistics are frozen as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from neuronlab.models.model import Model


@dataclass(frozen=True)
class Affine:
    """x -> matrix x + shift."""

    matrix: Float[Tensor, "out in"]
    shift: Float[Tensor, " out"]

    def __call__(self, x: Float[Tensor, "*row in"]) -> Float[Tensor, "*row out"]:
        """The map itself, row by row."""
        return x @ self.matrix.T + self.shift

    def after(self, first: Affine) -> Affine:
        """The map that does ``first``, then this."""
        return Affine(self.matrix @ first.matrix, self.matrix @ first.shift + self.shift)


@dataclass(frozen=True)
class Readout:
    """Logits as a function of the state, everything but the state frozen.

    logits(x) = scale * (unembedding (inner x) + bias); exact at the final state.

    Attributes:
        scale: 1, or where a cap squeezes the logits, what it left of each (choice,).
    """

    inner: Affine
    unembedding: Float[Tensor, "choice hidden"]
    bias: Float[Tensor, " choice"]
    scale: Float[Tensor, " choice"]

    def logits(self, states: Float[Tensor, "row hidden"]) -> Float[Tensor, "row choice"]:
        """Logits of states of the stream."""
        return self.scale * (self.inner(states) @ self.unembedding.T + self.bias)

    def change(self, parts: Float[Tensor, "row hidden"]) -> Float[Tensor, "row choice"]:
        """How the logits change when a part is added to any state."""
        return self.scale * (parts @ self.inner.matrix.T @ self.unembedding.T)

    def gradient(self, weights: Float[Tensor, "row choice"]) -> Float[Tensor, "row hidden"]:
        """Of the weighted sum of the logits, with respect to the state."""
        return (weights * self.scale) @ self.unembedding @ self.inner.matrix


@dataclass(frozen=True)
class FrozenNorm:
    """A norm with the statistics it has on some states: x -> scale * (x - mean of x) + shift.

    Attributes:
        scale: one row per state, (state, hidden).
        centred: whether the mean is taken away.
    """

    scale: Float[Tensor, "state hidden"]
    shift: Float[Tensor, " hidden"]
    centred: bool

    def back(self, weights: Float[Tensor, "state hidden"]) -> Float[Tensor, "state hidden"]:
        """Weights of what comes out, as weights of what goes in: one row per state."""
        weights = weights * self.scale
        return weights - weights.mean(-1, keepdim=True) if self.centred else weights

    def affine(self) -> Affine:
        """The map itself, on the only state there is."""
        size = len(self.shift)
        matrix = torch.eye(size, device=self.shift.device, dtype=self.shift.dtype)
        if self.centred:
            matrix -= 1 / size
        return Affine(self.scale[0][:, None] * matrix, self.shift)

    def of(self, states: list[int]) -> FrozenNorm:
        """The same norm for some of the states, in this order."""
        return FrozenNorm(self.scale[states], self.shift, self.centred)


def frozen_norm(model: Model, norm: Any, states: Float[Tensor, "state hidden"]) -> FrozenNorm:
    """A norm with the statistics it has on these states."""
    family = model.family
    centred = family.norm_centred(norm)
    if centred:
        states = states - states.mean(-1, keepdim=True)
    scale = torch.ones_like(states) * family.norm_scale(norm)
    scale = scale / torch.sqrt((states**2).mean(-1, keepdim=True) + family.norm_epsilon(norm))
    bias = getattr(norm, "bias", None)
    shift = torch.zeros_like(scale[0]) if bias is None else bias.float()
    return FrozenNorm(scale, shift, centred)


def readout_of(
    model: Model,
    seen: dict[Any, Tensor],
    final: Float[Tensor, " hidden"],
    logits: Float[Tensor, " choice"],
) -> Readout:
    """How the final state of a prompt becomes its logits.

    Args:
        seen: what entered the final norm ("norm") and the norm of a masked model's transform
            ("gated") at the predicted position, (1, hidden).
        final: the state that the head reads; ``logits`` what it made of it.
    """
    family = model.family
    norm, transform = family.final_norm(model.hf), family.head_transform(model.hf)
    matrix = torch.eye(len(final), device=final.device, dtype=final.dtype)
    inner = Affine(matrix, torch.zeros_like(final))
    if norm is not None:
        inner = frozen_norm(model, norm, seen["norm"]).affine()
    state = final
    if transform is not None:
        bias = getattr(transform[0], "bias", None)
        weight = transform[0].weight.float()
        dense = Affine(weight, weight.new_zeros(len(weight)) if bias is None else bias.float())
        # The gelu multiplies each unit by a gate, which is frozen like a norm's statistics.
        gate = (seen["gated"][0] / dense(final)).nan_to_num(0.5, 0.5, 0.5)
        gated = Affine(gate[:, None] * dense.matrix, gate * dense.shift)
        last = frozen_norm(model, transform[1], seen["gated"]).affine()
        step = last.after(gated)
        state, inner = step(final), step.after(inner)
    unembedding = model.hf.get_output_embeddings().weight.float() * family.logit_factor(model.hf)
    plain = unembedding @ state
    if family.logit_cap(model.hf) is None:
        return Readout(inner, unembedding, logits - plain, torch.ones_like(plain))
    scale = (logits / plain).nan_to_num(1.0, 1.0, 1.0)
    return Readout(inner, unembedding, torch.zeros_like(plain), scale)
