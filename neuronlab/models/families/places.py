"""Where the parts of a model are: paths of modules, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.pytorch_utils import Conv1D

# A module of which a family knows the parts by name; in an `nn.Module` each may be a tensor, too.
Part: TypeAlias = Any
# Columns of query, key and value in the output of one projection, from its width, the width of the
# query and the size of a head.
Layout: TypeAlias = Callable[[int, int, int], tuple[Tensor, Tensor, Tensor]]


def side_by_side(width: int, query: int, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """All of query, then all of key, then all of value."""
    every, other = _range(width), (width - query) // 2
    return every[:query], every[query : query + other], every[query + other :]


def by_group(width: int, query: int, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each key-value head, the query heads that share it, then its key, then its value."""
    groups = (width - query) // 2 // head
    grid = _range(width).view(groups, -1, head)
    return grid[:, :-2].flatten(), grid[:, -2].flatten(), grid[:, -1].flatten()


def _range(width: int) -> Int[Tensor, " column"]:
    return torch.arange(width, device="cpu", dtype=torch.long)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a family has what: attributes, dotted; "" is not there, "a|b" is whichever is there.

    Those of a decoder that is built like Llama, where nothing else is said.

    Attributes:
        blocks, norm: below the trunk; the norm is what follows the last block.
        encoder: below the trunk, of an encoder-decoder: the blocks that read the text; ``blocks``
            are then the decoder's.
        projections: below a block, like all that follow: of query, key and value.
        cross: of query, key and value of a decoder's cross-attention.
        layout: where one projection puts out all three; None where each has one of its own.
        head_size: a number; asked for where several query heads share a key-value head.
        output: what takes the mixed values of all heads back to the residual stream.
        down: what reads the FFN's neurons.
        inputs: what an FFN neuron's activation comes from, by name. Those with the same path are
            equal parts of it, in this order.
        input_norms: of what attention and FFN read.
        branch_norms: of what they put out, before it is added to the stream.
        stream_norms: of the stream itself, after it was added.
        branch_factor: a number that what they put out is multiplied by.
        parallel: whether the FFN reads what attention reads; without it, where both have one norm.
        attention: the module in whose name attention is computed, where ``sums`` are there.
        sums: what takes attention's and the FFN's neurons and the stream, and adds up per token;
            all that follows in the block reads its output alone.
        head: below the model, like all that follow: what makes logits over the vocabulary of the
            normed final state, one after the other.
        transform: a masked model's dense layer and norm before the unembedding; between them an
            activation.
        logit_cap: a number, or None: where the head squeezes its logits into (-cap, cap).
        classifier: what makes logits over the classes of the pooled state, one after the other.
    """

    blocks: str = "layers"
    norm: str = "norm"
    encoder: str = ""
    projections: tuple[str, str, str] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    cross: tuple[str, str, str] = ("", "", "")
    layout: Layout | None = None
    head_size: str = "self_attn.head_dim"
    output: str = "self_attn.o_proj"
    down: str = "mlp.down_proj"
    inputs: Mapping[str, str] = field(
        default_factory=lambda: {"gate": "mlp.gate_proj", "up": "mlp.up_proj"}
    )
    input_norms: tuple[str, str] = ("input_layernorm", "post_attention_layernorm")
    branch_norms: tuple[str, str] = ("", "")
    stream_norms: tuple[str, str] = ("", "")
    branch_factor: str = ""
    parallel: str = ""
    attention: str = ""
    sums: tuple[str, str] = ("", "")
    head: tuple[str, ...] = ("lm_head",)
    transform: tuple[str, str] = ("", "")
    logit_cap: str = ""
    classifier: tuple[str, ...] = ("score",)


def part(root: Any, path: str) -> Part:
    """The attribute at a path of ``Places``; None where it is not there."""
    for name in path.split("|"):
        attribute = root
        for step in filter(None, name.split(".")):
            attribute = getattr(attribute, step, None)
        if name and attribute is not None:
            return attribute
    return None


def matrix(projection: Part) -> Float[Tensor, "out in"]:
    """The weights of a projection, a row for each of its outputs, however they are stored."""
    return projection.weight.T if isinstance(projection, Conv1D) else projection.weight
