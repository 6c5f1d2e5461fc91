"""What an adapter says about one architecture family, and where a neuron sits in a module."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.models.components import SUBLAYERS, Component, Sublayer

# A module of which a family knows the parts by name; in an `nn.Module` each may be a tensor, too.
Part: TypeAlias = Any


@dataclass(frozen=True)
class Site:
    """Where the neurons of one component of one layer can be read and written.

    ``columns`` are the positions of the neurons in the last dimension of the module's input or
    output; ``None`` means all of them, in order.
    """

    module: nn.Module
    side: Literal["input", "output"]
    size: int
    columns: Tensor | None = None


class Family(ABC):
    """One adapter per architecture family: where blocks, neurons and heads are.

    The transformers module computes what it always does, though ``fuse`` may have it done faster;
    everything works through hooks on the modules named here. An adapter is right when the parity
    tests pass: writing back what was read leaves the logits bit for bit as they were, and the
    columns agree with the weights.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    # Whether a token sees only itself and what comes before it.
    causal: ClassVar[bool] = True
    # The number of the first token's position; there are so many fewer than position embeddings.
    first_position: ClassVar[int] = 0
    # Whether the trunks of its models can be tuned here: see ``with_classes``.
    tunable: ClassVar[bool] = False

    def fuse(self, hf: Any) -> None:  # noqa: B027 (most families have nothing to fuse)
        """Replace modules that are needlessly slow by equal ones, with the same parameters."""

    def do_without(self, hf: Any, missing: Collection[str]) -> list[str]:
        """Those of the weights which the files lack that the model needs; others are switched off.

        What is missing was drawn at random.
        """
        return sorted(missing)

    def with_classes(self, hf: Any, config: Any) -> Any:
        """A copy of a model's trunk with a fresh head for the classes of ``config``, to be tuned.

        The head is drawn from torch's generator. Only of a family that is ``tunable``.
        """
        raise NotImplementedError

    def layers(self, hf: Any, first: int, stop: int | None) -> AbstractContextManager[None]:
        """While open, the model has these layers alone, and where ``stop`` is None what follows.

        The first may then be given what it reads as ``inputs_embeds``. Only of a family that is
        ``tunable``.
        """
        raise NotImplementedError

    def contacts(
        self, hf: Any
    ) -> Callable[[Int[Tensor, "row token"]], Float[Tensor, "row residue residue"]] | None:
        """Predicts from plain attention which residues touch; None where a model has no such head.

        The ids are those of a protein and its special tokens; the values are probabilities.
        """
        return None

    def reading_masks(self, hf: Any) -> AbstractContextManager[None]:
        """While open, a mask is read as any other token is; the caller holds the model's lock."""
        return nullcontext()

    @abstractmethod
    def blocks(self, hf: Any) -> list[nn.Module]:
        """The transformer blocks, first to last."""

    @abstractmethod
    def site(self, block: Part, component: Component) -> Site:
        """Where query, key, value or FFN neurons are in ``block``."""

    def attention_site(self, block: Part) -> Site:
        """Attention neurons: what enters the attention's output projection."""
        return Site(self.attention_output(block), "input", len(self.attention_vectors(block)))

    def residual_site(self, block: Part) -> Site:
        """Dimensions of the residual stream: what the block puts out."""
        return Site(block, "output", self.ffn_vectors(block).shape[1])

    @abstractmethod
    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """What each FFN neuron adds to the FFN's output per unit of activation."""

    @abstractmethod
    def attention_output(self, block: Part) -> Part:
        """The projection that takes the mixed values of all heads back to the residual stream."""

    def attention(self, block: Part) -> nn.Module | None:
        """The module in whose name attention is computed; None where ``sums`` has none."""
        return None

    def sums(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """What takes attention's and the FFN's neurons and the stream, and adds up, per token.

        What follows in the block reads its output alone. None where no module does this.
        """
        return None, None

    def attention_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """What each attention neuron (head, dimension) adds to the attention's output per unit."""
        return self.attention_output(block).weight.T

    def vectors(self, block: Part, sublayer: Sublayer) -> Float[Tensor, "neuron hidden"]:
        """``attention_vectors`` or ``ffn_vectors``."""
        return self.ffn_vectors(block) if sublayer == "ffn" else self.attention_vectors(block)

    @abstractmethod
    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Projections that an FFN neuron's activation comes from, by name."""

    @abstractmethod
    def input_norms(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """Norms of what attention and FFN read from the stream, inside the block."""

    def subkeys(
        self, block: Part, sublayer: Sublayer, neurons: Int[Tensor, " neuron"]
    ) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Rows of the projections that attention or FFN neurons come from."""
        if sublayer == "ffn":
            return {name: rows[neurons] for name, rows in self.ffn_inputs(block).items()}
        site = self.site(block, "value")
        rows = neurons if site.columns is None else site.columns.to(neurons.device)[neurons]
        weight: Any = site.module.weight
        return {"value": weight[rows]}

    def parallel(self, block: Part) -> bool:
        """Whether the FFN reads what attention reads, not what attention has added to."""
        return False

    def branch_norms(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """Norms of what attention and FFN put out, before it is added to the stream."""
        return None, None

    def stream_norms(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """Norms of the stream itself, after attention's and the FFN's output were added."""
        return None, None

    def directions(self, block: Part, sublayer: Sublayer) -> Float[Tensor, "neuron hidden"]:
        """What each FFN or attention neuron adds to the residual stream per unit.

        Up to a positive factor where a norm of the branch follows.
        """
        vectors = self.vectors(block, sublayer)
        norm = self.branch_norms(block)[SUBLAYERS.index(sublayer)]
        return vectors if norm is None else vectors * self.norm_scale(norm)

    def norm_scale(self, norm: Part) -> Float[Tensor, " hidden"]:
        """What a norm multiplies the normed state by."""
        return norm.weight

    def head_transform(self, hf: Any) -> tuple[Part, Part] | None:
        """A masked model's dense layer and norm before the unembedding; between them a gelu."""
        return None

    def logit_cap(self, hf: Any) -> float | None:
        """Where the head squeezes its logits into (-cap, cap)."""
        return None

    @abstractmethod
    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Logits over the vocabulary, (row, vocabulary), from the normed final hidden state."""

    def final_norm(self, hf: Any) -> nn.Module | None:
        """The norm between the residual stream and the head; None where blocks end in a norm."""
        return None

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Logits over the classes, (row, class). A decoder's head scores the last token."""
        return hf.score(hidden)


class Encoder(Family):
    """What the bidirectional families share: separate projections, a head on the first token."""

    causal = False

    def attention(self, block: Part) -> nn.Module:
        """Between the projections and the output projection."""
        return block.attention.self

    def sums(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """Output projection and sum with the stream, and BERT's norm."""
        return block.attention.output, block.output

    def site(self, block: Part, component: Component) -> Site:
        """Separate query, key and value projections; the FFN's output projection is ``output``."""
        if component == "ffn":
            dense = block.output.dense
            return Site(dense, "input", dense.in_features)
        projection = getattr(block.attention.self, component)
        return Site(projection, "output", projection.out_features)

    def residual_site(self, block: Part) -> Site:
        """The last module of the block puts out the stream itself."""
        return Site(block.output, "output", self.ffn_vectors(block).shape[1])

    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """Columns of the FFN's output projection."""
        return block.output.dense.weight.T

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """The intermediate layer."""
        return {"input": block.intermediate.dense.weight}

    def attention_output(self, block: Part) -> nn.Module:
        """The dense layer after self-attention."""
        return block.attention.output.dense

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """A head that picks the first token itself: it gets a sequence of one."""
        return hf.classifier(hidden[:, None])


class PostNormEncoder(Encoder):
    """Encoders that norm the residual stream itself, after each half of a block."""

    def input_norms(self, block: Part) -> tuple[None, None]:
        """None: the stream is normed already."""
        return None, None

    def stream_norms(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """After attention's and after the FFN's output were added."""
        return block.attention.output.LayerNorm, block.output.LayerNorm


class GatedDecoder(Family):
    """What Llama-like families share: separate projections and a gated FFN."""

    def blocks(self, hf: Any) -> list[nn.Module]:
        """The decoder layers."""
        return list(hf.base_model.layers)

    def site(self, block: Part, component: Component) -> Site:
        """An FFN neuron is a unit after the gate: the input of ``down_proj``."""
        if component == "ffn":
            return Site(block.mlp.down_proj, "input", block.mlp.down_proj.in_features)
        projection = getattr(block.self_attn, f"{component[0]}_proj")
        return Site(projection, "output", projection.out_features)

    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """Columns of ``down_proj``."""
        return block.mlp.down_proj.weight.T

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Gate and up projection: the activation is their product."""
        return {"gate": block.mlp.gate_proj.weight, "up": block.mlp.up_proj.weight}

    def input_norms(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """Before attention and before the FFN."""
        return block.input_layernorm, block.post_attention_layernorm

    def subkeys(
        self, block: Part, sublayer: Sublayer, neurons: Int[Tensor, " neuron"]
    ) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Several query heads share the values of one key-value head."""
        if sublayer == "attention":
            attention = block.self_attn
            head, dimension = neurons // attention.head_dim, neurons % attention.head_dim
            neurons = head // attention.num_key_value_groups * attention.head_dim + dimension
        return super().subkeys(block, sublayer, neurons)

    def attention_output(self, block: Part) -> nn.Module:
        """``o_proj``."""
        return block.self_attn.o_proj

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """The unembedding."""
        return hf.lm_head(hidden)

    def final_norm(self, hf: Any) -> nn.Module:
        """The norm after the last layer."""
        return hf.base_model.norm


def columns(start: int, stop: int) -> Tensor:
    """The columns ``start`` to ``stop`` (exclusive) of a fused projection."""
    return torch.arange(start, stop, device="cpu", dtype=torch.long)
