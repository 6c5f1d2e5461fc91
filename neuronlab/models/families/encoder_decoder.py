"""What encoder-decoders share: an encoder reads the text, a decoder what it has said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.models.entries import Kind
from neuronlab.models.families.base import Family
from neuronlab.models.families.places import part


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder(Family):
    """The encoder's blocks, then the decoder's; or an encoder alone, of which nothing is asked."""

    causal: bool = False
    interface: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """See above."""
        return ("seq2seq", "encoder")

    def stacks(self, hf: Any) -> dict[str, int]:
        """The encoder's, and the decoder's where there is one."""
        every, first = len(self.blocks(hf)), len(part(hf.base_model, self.places.encoder))
        return {"encoder": first} | ({"decoder": every - first} if every > first else {})

    def missing(self, hf: Any) -> dict[str, bool]:
        """As of others, and cross-attention's in each of the decoder's blocks."""
        parts, decoder = super().missing(hf), part(hf.base_model, self.places.blocks)
        if decoder is None and hf.get_output_embeddings() is None:  # an encoder alone
            left_out = (self.places.blocks, *self.places.head)
            return {path: missing for path, missing in parts.items() if path not in left_out}
        for path in self.places.cross:
            parts[path] = not decoder or any(part(block, path) is None for block in decoder)
        return parts

    def states(
        self,
        hf: Any,
        ids: Int[Tensor, "row token"],
        prefix: Int[Tensor, "row prefix"] | None = None,
        **inputs: Any,
    ) -> Float[Tensor, "rows tokens hidden"]:
        """Of the decoder at the prefix; without one, of the encoder at the text."""
        trunk = hf.base_model
        text = trunk.encoder(input_ids=ids, **inputs).last_hidden_state
        if prefix is None:
            return text
        decoded = trunk.decoder(input_ids=prefix, encoder_hidden_states=text, use_cache=False)
        return decoded.last_hidden_state
