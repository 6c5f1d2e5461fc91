"""ESM: protein encoders with rotary positions and norms before each half of a block."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Part, Places
from neuronlab.models.families.roberta import ROBERTA_PLACES


class FusedIntermediate(nn.Module):
    """The FFN's first half with torch's own GELU.

    transformers writes ESM's GELU as five operations on the widest activations there are, and
    autograd adds eight on the way back: together a quarter of the time of a pass on a CPU.
    """

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, hidden: Float[Tensor, "row token hidden"]) -> Tensor:
        """The FFN neurons; the same as before to rounding."""
        return torch.nn.functional.gelu(self.dense(hidden))


class Esm(Family):
    """A query neuron is read before the scaling and the rotary embedding."""

    def fuse(self, hf: Any) -> None:
        """See ``FusedIntermediate``."""
        block: Part
        for block in self.blocks(hf):
            block.intermediate = FusedIntermediate(block.intermediate.dense)

    def do_without(self, hf: Any, missing: Collection[str]) -> list[str]:
        """The contact head, which no prediction reads: some checkpoints leave it out."""
        regression = {f"esm.contact_head.regression.{name}" for name in ("weight", "bias")}
        if regression.intersection(missing):
            hf.esm.contact_head = None
        return sorted(set(missing) - regression)

    def with_classes(self, hf: Any, config: Any) -> Any:
        """The contact head is kept as it is, where there is one."""
        from transformers import EsmForSequenceClassification

        made: Any = EsmForSequenceClassification(config)
        if hf.esm.contact_head is None:
            made.esm.contact_head = None
        else:
            made.esm.contact_head.requires_grad_(False)
        made.esm.load_state_dict(hf.esm.state_dict())
        return made

    @contextmanager
    def layers(self, hf: Any, first: int, stop: int | None) -> Iterator[None]:
        """The norm behind the last layer goes with what follows ``stop``."""
        encoder = hf.base_model.encoder
        layers, norm = encoder.layer, encoder.emb_layer_norm_after
        encoder.layer = layers[first:stop]
        if stop is not None:
            encoder.emb_layer_norm_after = None
        try:
            yield
        finally:
            encoder.layer, encoder.emb_layer_norm_after = layers, norm

    def contacts(
        self, hf: Any
    ) -> Callable[[Int[Tensor, "row token"]], Float[Tensor, "row residue residue"]] | None:
        """The contact head's (Rao et al. 2020)."""
        if hf.esm.contact_head is None:
            return None
        return lambda ids: hf.esm.predict_contacts(ids, torch.ones_like(ids))

    @contextmanager
    def reading_masks(self, hf: Any) -> Iterator[None]:
        """Without token dropout.

        Its models take a mask for a residue that is not there, and scale all others by how many
        there are in training over how many there are here: where all are masked no token but the
        special ones is left, and these grow with the length of the protein.
        """
        embeddings = hf.esm.embeddings
        usual = embeddings.token_dropout
        embeddings.token_dropout = False
        try:
            yield
        finally:
            embeddings.token_dropout = usual


ESM = Esm(
    name="esm",
    title="ESM-2",
    model_types=("esm",),
    causal=False,
    first_position=2,  # padding_idx + 1
    tunable=True,
    places=replace(
        ROBERTA_PLACES,
        norm="encoder.emb_layer_norm_after",
        input_norms=("attention.LayerNorm", "LayerNorm"),
        stream_norms=("", ""),
    ),
)


class EsmC(Family):
    """Llama's parts, and a factor on what a block adds, which falls with the number of blocks."""

    def branch_factor(self, block: Part) -> float:
        """Each block has it as a number that it divides by."""
        return 1 / block.scaling_factor


ESMC = EsmC(
    name="esmc",
    title="ESM C",
    model_types=("esmc",),
    causal=False,
    places=replace(
        Places(), transform=("lm_head.dense", "lm_head.layer_norm"), classifier=("classifier",)
    ),
)
