"""GPT-NeoX and Pythia: one fused projection, interleaved head by head."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.components import Component
from neuronlab.models.families.base import Family, Part, Site, columns


class GPTNeoX(Family):
    """The fused output is (head, query | key | value, head dimension), not three blocks."""

    name = "gpt_neox"
    title = "GPT-NeoX (Pythia)"
    model_types = ("gpt_neox",)

    def blocks(self, hf: Any) -> list[nn.Module]:
        """The decoder layers."""
        return list(hf.gpt_neox.layers)

    def site(self, block: Part, component: Component) -> Site:
        """Neuron (head, dimension) of a component, read from the interleaved output."""
        if component == "ffn":
            dense = block.mlp.dense_4h_to_h
            return Site(dense, "input", dense.in_features)
        fused, head_size = block.attention.query_key_value, block.attention.head_size
        layout = columns(0, fused.out_features).view(-1, 3, head_size)
        chosen = layout[:, ("query", "key", "value").index(component)].reshape(-1)
        return Site(fused, "output", len(chosen), chosen)

    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """Columns of ``dense_4h_to_h``."""
        return block.mlp.dense_4h_to_h.weight.T

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """``dense_h_to_4h``."""
        return {"input": block.mlp.dense_h_to_4h.weight}

    def input_norms(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """Before attention and before the FFN."""
        return block.input_layernorm, block.post_attention_layernorm

    def parallel(self, block: Part) -> bool:
        """As the configuration says."""
        return block.use_parallel_residual

    def attention_output(self, block: Part) -> nn.Module:
        """``dense``."""
        return block.attention.dense

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """The unembedding."""
        return hf.get_output_embeddings()(hidden)

    def final_norm(self, hf: Any) -> nn.Module:
        """The norm after the last layer."""
        return hf.gpt_neox.final_layer_norm
