"""BERT: norms after each half of a block, so no final norm; a transform before the unembedding."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.families.base import PostNormEncoder


class Bert(PostNormEncoder):
    """BERT and the protein models built on it."""

    name = "bert"
    title = "BERT"
    model_types = ("bert",)

    def blocks(self, hf: Any) -> list[nn.Module]:
        """The encoder layers."""
        return list(hf.bert.encoder.layer)

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Transform, norm, unembedding and bias."""
        return hf.cls(hidden)

    def head_transform(self, hf: Any) -> tuple[nn.Module, nn.Module]:
        """Dense layer and norm of the transform."""
        transform = hf.cls.predictions.transform
        return transform.dense, transform.LayerNorm

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """The pooler, then the classifier."""
        return hf.classifier(hf.bert.pooler(hidden[:, None]))
