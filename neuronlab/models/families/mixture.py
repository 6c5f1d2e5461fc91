"""Mixtures of experts: a token's FFN is a few of many, chosen and weighed by a router.

An FFN neuron is a unit of an expert, times what the router weighs the expert by; its index is
expert x width + unit. A unit of an expert that was not chosen is 0. Units of a shared expert, which
every token has, come after all others.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.components import Component
from neuronlab.models.families.base import Family, Site
from neuronlab.models.families.olmo import OLMO2_PLACES
from neuronlab.models.families.places import Part, Places, part


class Experts(nn.Module):
    """An FFN of experts on its own parameters, whose neurons pass through ``units``."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        for name, child in block.named_children():
            self.add_module(name, child)
        self.units = nn.Identity()

    def forward(self, hidden: Float[Tensor, "row token hidden"]) -> Tensor:
        """What the chosen experts add up to; the same as before to rounding."""
        flat, experts = hidden.flatten(0, 1), part(self, "experts")
        _, weights, chosen = part(self, "gate|router")(flat)
        units = flat.new_zeros(len(flat), len(experts.down_proj), experts.down_proj.shape[-1])
        for expert in chosen.unique().tolist():
            token, place = (chosen == expert).nonzero(as_tuple=True)
            projected = nn.functional.linear(flat[token], experts.gate_up_proj[expert])
            gate, up = projected.chunk(2, dim=-1)
            shares = weights[token, place, None].to(units.dtype)
            units[token, expert] = experts.act_fn(gate) * up * shares
        units = units.flatten(1)
        shared = part(self, "shared_expert")
        if shared is not None:
            share = part(self, "shared_expert_gate")(flat).sigmoid()
            gated = shared.act_fn(shared.gate_proj(flat)) * shared.up_proj(flat)
            units = torch.cat([units, share * gated], dim=-1)
        return self.units(units.unflatten(0, hidden.shape[:2])) @ self.vectors

    @property
    def vectors(self) -> Float[Tensor, "neuron hidden"]:
        """What one of each unit adds."""
        vectors = part(self, "experts.down_proj").mT.flatten(0, 1)
        shared = part(self, "shared_expert.down_proj.weight")
        return vectors if shared is None else torch.cat([vectors, shared.T])

    @property
    def inputs(self) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """The projections that units come from."""
        halves = part(self, "experts.gate_up_proj").chunk(2, dim=1)
        inputs = {}
        for name, projection in zip(("gate", "up"), halves, strict=True):
            shared = part(self, f"shared_expert.{name}_proj.weight")
            rows = projection.flatten(0, 1)
            inputs[name] = rows if shared is None else torch.cat([rows, shared])
        return inputs


@dataclass(frozen=True, kw_only=True)
class Mixture(Family):
    """Its FFN neurons are the units of ``Experts``, which ``fuse`` puts in place."""

    continuous: bool = False  # the router chooses others all at once

    def fuse(self, hf: Any) -> None:
        """See ``Experts``."""
        block: Part
        for block in self.blocks(hf):
            block.mlp = Experts(block.mlp)

    def site(self, block: Part, component: Component) -> Site:
        """All units, side by side."""
        if component != "ffn":
            return super().site(block, component)
        return Site(block.mlp.units, "input", len(block.mlp.vectors))

    def expert_of(self, block: Part, neuron: int) -> tuple[str, int]:
        """By its number, or "shared"."""
        experts, _, width = block.mlp.experts.down_proj.shape
        expert, unit = divmod(neuron, width)
        return (str(expert), unit) if expert < experts else ("shared", neuron - experts * width)

    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """What one of each unit adds."""
        return block.mlp.vectors

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """The projections that units come from."""
        return block.mlp.inputs


_PLACES = Places(down="mlp.experts.down_proj", inputs={"gate and up": "mlp.experts.gate_up_proj"})
MIXTRAL = Mixture(
    name="mixtral",
    title="Mixtral and other mixtures of experts",
    model_types=("mixtral", "olmoe", "phimoe", "qwen2_moe", "qwen3_moe"),
    places=_PLACES,
)
FLEX_OLMO = Mixture(
    name="flex_olmo",
    title="FlexOlmo",
    model_types=("flex_olmo",),
    places=replace(
        _PLACES, input_norms=OLMO2_PLACES.input_norms, branch_norms=OLMO2_PLACES.branch_norms
    ),
)
