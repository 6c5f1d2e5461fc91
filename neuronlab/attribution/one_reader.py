"""The last block of an encoder for the one token that the head reads.

All tokens' keys and values matter there, but only that token's query, and what follows its
attention. The others are left out, where a family names the modules it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from neuronlab.models.hooks import attention_by, before_sums

if TYPE_CHECKING:
    from neuronlab.models import Model

# Attention of all tokens, but in one layer of one token alone; the name of this attention.
ONE_READER = "neuronlab_one_reader"


def reader_of(model: Model, read: slice) -> dict[str, Any]:
    """Inputs of such a pass beside the tokens; empty where the family names no modules for it."""
    attention = model.family.attention(model.block(model.layers - 1))
    return {} if attention is None else {"position": 0, "reader": (attention, read)}


@contextmanager
def one_reader(model: Model, read: slice) -> Iterator[None]:
    """While open, the last block puts out the token read alone; the caller holds the lock."""
    last, _ = model.family.sums(model.block(model.layers - 1))
    assert last is not None  # it is asked of families with a reader alone
    narrow = {last: (last, lambda neurons, stream: (neurons[:, read], stream[:, read]))}
    with attention_by(model.hf, ONE_READER), before_sums(narrow):
        yield


def _attend(
    module: nn.Module,
    query: Float[Tensor, "row head token dim"],
    *args: Any,
    reader: tuple[nn.Module, slice],
    **kwargs: Any,
) -> tuple[Float[Tensor, "row token head dim"], None]:
    """The reader's result stands for all tokens: what follows takes it from its own place."""
    last, read = reader
    if module is not last:
        return sdpa_attention_forward(module, query, *args, **kwargs)
    mixed, _ = sdpa_attention_forward(module, query[:, :, read], *args, **kwargs)
    return mixed.expand(-1, query.shape[2], -1, -1), None


AttentionInterface.register(ONE_READER, _attend)
AttentionMaskInterface.register(ONE_READER, lambda *args, **kwargs: None)
