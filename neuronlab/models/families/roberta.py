"""RoBERTa and XLM-R."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.families.base import PostNormEncoder


class Roberta(PostNormEncoder):
    """Like BERT, with another head."""

    name = "roberta"
    title = "RoBERTa and XLM-R"
    model_types = ("roberta", "xlm-roberta")
    first_position = 2  # padding_idx + 1

    def blocks(self, hf: Any) -> list[nn.Module]:
        """The encoder layers."""
        return list(hf.roberta.encoder.layer)

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Transform, norm, unembedding and bias."""
        return hf.lm_head(hidden)

    def head_transform(self, hf: Any) -> tuple[nn.Module, nn.Module]:
        """Dense layer and norm of the head."""
        return hf.lm_head.dense, hf.lm_head.layer_norm
