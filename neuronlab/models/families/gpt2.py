"""GPT-2: query, key and value come from one fused projection whose weights are transposed."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.models.components import Component, Sublayer
from neuronlab.models.families.base import Family, Part, Site, columns


class GPT2(Family):
    """``c_attn`` puts out query, key and value side by side; Conv1D stores (in, out)."""

    name = "gpt2"
    title = "GPT-2"
    model_types = ("gpt2",)

    def blocks(self, hf: Any) -> list[nn.Module]:
        """The decoder blocks."""
        return list(hf.transformer.h)

    def site(self, block: Part, component: Component) -> Site:
        """Thirds of ``c_attn``; the input of the FFN's ``c_proj``."""
        if component == "ffn":
            return Site(block.mlp.c_proj, "input", block.mlp.c_proj.nx)
        size = block.attn.split_size
        start = ("query", "key", "value").index(component) * size
        return Site(block.attn.c_attn, "output", size, columns(start, start + size))

    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """Rows of ``c_proj``, whose weight is stored (in, out)."""
        return block.mlp.c_proj.weight

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Columns of ``c_fc``, whose weight is stored (in, out)."""
        return {"input": block.mlp.c_fc.weight.T}

    def input_norms(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """Before attention and before the FFN."""
        return block.ln_1, block.ln_2

    def subkeys(
        self, block: Part, sublayer: Sublayer, neurons: Int[Tensor, " neuron"]
    ) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """As everywhere, from transposed weights."""
        if sublayer == "ffn":
            return super().subkeys(block, sublayer, neurons)
        site = self.site(block, "value")
        weight: Any = site.module.weight
        assert site.columns is not None  # queries, keys and values come from one projection
        return {"value": weight.T[site.columns.to(neurons.device)[neurons]]}

    def attention_output(self, block: Part) -> nn.Module:
        """``c_proj``."""
        return block.attn.c_proj

    def attention_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """Rows of ``c_proj``, whose weight is stored (in, out)."""
        return block.attn.c_proj.weight

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """The unembedding."""
        return hf.lm_head(hidden)

    def final_norm(self, hf: Any) -> nn.Module:
        """The norm after the last block."""
        return hf.transformer.ln_f
