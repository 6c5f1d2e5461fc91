"""MPT: attention that falls with distance (ALiBi), an FFN that adds to the stream itself."""

from jaxtyping import Float
from torch import Tensor

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Part, Places, side_by_side


class Mpt(Family):
    """Query, key and value may be clipped after they are read."""

    def mixed_values(self, block: Part, neurons: Float[Tensor, "*row neuron"]) -> Tensor:
        """As the configuration says."""
        bound = block.attn.clip_qkv
        return neurons.clamp(-bound, bound) if bound else neurons


MPT = Mpt(
    name="mpt",
    title="MPT",
    model_types=("mpt",),
    interface=False,
    places=Places(
        blocks="blocks",
        norm="norm_f",
        projections=("attn.Wqkv",) * 3,
        layout=side_by_side,
        head_size="attn.head_dim",
        output="attn.out_proj",
        down="ffn.down_proj",
        inputs={"input": "ffn.up_proj"},
        input_norms=("norm_1", "norm_2"),
    ),
)
