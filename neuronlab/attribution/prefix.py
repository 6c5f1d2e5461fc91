"""Attention of one-token rows that share the keys and values of one clean prefix.

In a causal model a change at the last position touches nothing before it, so every row of a batch
of changed copies is a single token that reads the same prefix. Attention over it is one product
of all rows with the shared keys instead of a copy of the keys per row.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from neuronlab.models.families.places import part
from neuronlab.models.hooks import attention_by, for_each_row

if TYPE_CHECKING:
    from neuronlab.models import Encoded, Model

# Rows attend to the prefix that they share and to themselves; the name of this attention.
SHARED_PREFIX = "neuronlab_shared_prefix"


def prefix_of(model: Model, encoded: Encoded) -> dict[str, Any]:
    """Inputs for a forward pass of the last token alone; it runs the tokens before it once."""
    ids = encoded.input_ids
    with torch.no_grad():
        cache = model.hf.base_model(input_ids=ids[:, :-1], use_cache=True).past_key_values
    position = ids.new_tensor([[ids.shape[1] - 1]])
    return {"ids": ids[:, -1:], "position": 0, "position_ids": position, "shared": cache}


def inputs_of(model: Model, encoded: Encoded, *, single: bool) -> dict[str, Any]:
    """Inputs of a batch: the last token on its prefix (``single``), or the whole prompt."""
    if not single:
        return {"ids": encoded.input_ids, "position": encoded.position, "prefix": encoded.prefix}
    with model.lock:
        return prefix_of(model, encoded)


def attending(model: Model, *, single: bool) -> AbstractContextManager[None]:
    """The attention that those inputs need, while open; the caller holds the model's lock."""
    if single:
        return attention_by(model.hf, SHARED_PREFIX)
    paths = [path.rpartition(".") for path in model.family.per_row]
    modules = [(part(block, path), name) for path, _, name in paths for block in model.blocks]
    there = ((module, name) for module, name in modules if module is not None)
    return for_each_row(there, read="decoder" in model.stacks)


def _attend(
    module: nn.Module,
    query: Float[Tensor, "row head 1 dim"],
    key: Float[Tensor, "row kv_head 1 dim"],
    value: Float[Tensor, "row kv_head 1 dim"],
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    shared: Any = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "row 1 head dim"], None]:
    """Softmax attention of each row to the shared prefix and to itself."""
    layer = shared.layers[module.layer_idx]
    rows, heads, _, dim = query.shape
    kv_heads = key.shape[1]
    scaling = dim**-0.5 if scaling is None else scaling
    # (kv_head, row x queries per kv head, dim): all rows in one product with the shared keys
    grouped = query.reshape(rows, kv_heads, -1, dim).transpose(0, 1)
    flat = grouped.reshape(kv_heads, -1, dim) * scaling
    to_prefix = flat @ layer.keys[0].transpose(-1, -2)
    row_key = key.squeeze(2).transpose(0, 1).unsqueeze(2).expand_as(grouped).reshape_as(flat)
    to_self = (flat * row_key).sum(-1, keepdim=True)
    scores = torch.cat([to_prefix, to_self], dim=-1)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    to_prefix, to_self = scores.softmax(-1).split([to_prefix.shape[-1], 1], dim=-1)
    row_value = value.squeeze(2).transpose(0, 1).unsqueeze(2).expand_as(grouped).reshape_as(flat)
    mixed = to_prefix @ layer.values[0] + to_self * row_value
    return mixed.view(kv_heads, rows, -1, dim).transpose(0, 1).reshape(rows, 1, heads, dim), None


AttentionInterface.register(SHARED_PREFIX, _attend)
AttentionMaskInterface.register(SHARED_PREFIX, lambda *args, **kwargs: None)
