"""What the package asks of an architecture family, and where a neuron sits in a module.

A family is data: ``Places`` names its parts, ``Family`` says what else sets it apart. A family has
a class of its own where its models compute something of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.models.components import CROSS, SUBLAYERS, Component, Sublayer
from neuronlab.models.entries import Kind
from neuronlab.models.families.places import Part, Places, matrix, part

_PROJECTED = ("query", "key", "value")


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


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture family: its parts, and what the package asks about them.

    The transformers module computes what it always does, though ``fuse`` may have it done in
    another way; everything works through hooks on the modules named here. A family is right when
    the parity tests pass: writing back what was read leaves the logits bit for bit as they were,
    and the columns agree with the weights.

    Attributes:
        causal: whether a token sees only itself and what comes before it.
        first_position: the number of the first token's position; there are so many fewer than
            position embeddings.
        tunable: whether the trunks of its models can be tuned here: see ``with_classes``.
        interface: whether transformers' attention interface computes its attention and is given
            all that the model is given, so that other attention can take its place.
        per_row: inputs of modules of a block, dotted, that have entries for each row of a batch;
            all others serve rows of any number.
        less_one: whether the weights of norms are stored less one.
        centred: whether its norms that are none of torch's take away the mean.
        continuous: whether what it computes changes without jumps as its neurons do.
        sentinels: of an encoder-decoder, whether sentinels stand for what is left out of a text,
            and the decoder names one before it says what belongs there.
        restates: of another, whether the decoder says the whole text anew, so that what belongs
            in the place of a mask follows what is before it.
    """

    name: str
    title: str
    model_types: tuple[str, ...]
    places: Places = field(default_factory=Places)
    causal: bool = True
    first_position: int = 0
    tunable: bool = False
    interface: bool = True
    per_row: tuple[str, ...] = ()
    less_one: bool = False
    centred: bool = False
    continuous: bool = True
    sentinels: bool = False
    restates: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What its models may be asked for."""
        return ("causal" if self.causal else "masked", "classifier")

    def fuse(self, hf: Any) -> None:
        """Replace modules that are needlessly slow, or hide neurons, by equal ones.

        They have the same parameters.
        """

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

    def unsupported(self, hf: Any) -> str:
        """The setting of this model that is not covered here, or "" where all are."""
        return ""

    def missing(self, hf: Any) -> dict[str, bool]:
        """The parts that are looked for, and whether each is missing, in whichever block."""
        places, trunk = self.places, hf.base_model
        head = places.classifier if hasattr(hf, "num_labels") else places.head
        of_trunk = places.encoder, places.blocks, places.norm
        parts = {
            **{path: part(trunk, path) is None for path in of_trunk},
            **{path: part(hf, path) is None for path in head},
        }
        blocks = self.blocks(hf)
        norms = (*places.input_norms, *places.branch_norms, *places.stream_norms)
        paths = (*places.projections, places.output, places.down, *places.inputs.values(), *norms)
        for path in paths:
            parts[path] = not blocks or any(part(block, path) is None for block in blocks)
        return {path: missing for path, missing in parts.items() if path}

    def states(
        self, hf: Any, ids: Int[Tensor, "row token"], **inputs: Any
    ) -> Float[Tensor, "rows tokens hidden"]:
        """Normed final hidden states; more rows than ids had, where hooks add some on the way."""
        return hf.base_model(input_ids=ids, **inputs).last_hidden_state

    def blocks(self, hf: Any) -> list[nn.Module]:
        """The transformer blocks, first to last; an encoder's before its decoder's."""
        paths = self.places.encoder, self.places.blocks
        return [block for path in paths for block in part(hf.base_model, path) or ()]

    def stacks(self, hf: Any) -> dict[str, int]:
        """How many blocks, one after the other, read the same tokens: by the stack's name.

        One stack without a name; of an encoder-decoder "encoder", then "decoder".
        """
        return {"": len(self.blocks(hf))}

    def has(self, block: Part, component: Component) -> bool:
        """Whether a block has such neurons; all have those that are not of cross-attention."""
        return component not in CROSS or self._crossing(block, component) is not None

    def _crossing(self, block: Part, component: Component) -> Part:
        return part(block, self.places.cross[CROSS.index(component)])

    def site(self, block: Part, component: Component) -> Site:
        """Where query, key, value or FFN neurons are in ``block``.

        An FFN neuron is a unit behind the activation and the gate. Key and value neurons of models
        with grouped queries are fewer: one set per key-value head.
        """
        if component == "ffn":
            down = part(block, self.places.down)
            return Site(down, "input", matrix(down).shape[1])
        if component in CROSS:
            module = self._crossing(block, component)
            return Site(module, "output", len(matrix(module)))
        number = _PROJECTED.index(component)
        module = part(block, self.places.projections[number])
        width = len(matrix(module))
        if self.places.layout is None:
            return Site(module, "output", width)
        query = matrix(self.attention_output(block)).shape[1]
        head_size = part(block, self.places.head_size)
        columns = self.places.layout(width, query, head_size)[number]
        return Site(module, "output", len(columns), columns)

    def attention_site(self, block: Part) -> Site:
        """Attention neurons: what enters the attention's output projection."""
        return Site(self.attention_output(block), "input", len(self.attention_vectors(block)))

    def residual_site(self, block: Part) -> Site:
        """Dimensions of the residual stream: what the block puts out."""
        return Site(block, "output", self.ffn_vectors(block).shape[1])

    def expert_of(self, block: Part, neuron: int) -> tuple[str, int] | None:
        """The expert that an FFN neuron is a unit of, and which; None where there are none."""
        return None

    def ffn_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """What each FFN neuron adds to the FFN's output per unit of activation."""
        return matrix(part(block, self.places.down)).T

    def attention_output(self, block: Part) -> Part:
        """The projection that takes the mixed values of all heads back to the residual stream."""
        return part(block, self.places.output)

    def attention(self, block: Part) -> nn.Module | None:
        """The module in whose name attention is computed; None where ``sums`` has none."""
        return part(block, self.places.attention)

    def sums(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """What takes attention's and the FFN's neurons and the stream, and adds up, per token.

        What follows in the block reads its output alone. None where no module does this.
        """
        return _pair(block, self.places.sums)

    def attention_vectors(self, block: Part) -> Float[Tensor, "neuron hidden"]:
        """What each attention neuron (head, dimension) adds to the attention's output per unit."""
        return matrix(self.attention_output(block)).T

    def vectors(self, block: Part, sublayer: Sublayer) -> Float[Tensor, "neuron hidden"]:
        """``attention_vectors`` or ``ffn_vectors``."""
        return self.ffn_vectors(block) if sublayer == "ffn" else self.attention_vectors(block)

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Projections that an FFN neuron's activation comes from, by name."""
        paths = list(self.places.inputs.values())
        rows = {}
        for number, (name, path) in enumerate(self.places.inputs.items()):
            equal = matrix(part(block, path)).chunk(paths.count(path))
            rows[name] = equal[paths[:number].count(path)]
        return rows

    def mixed_values(self, block: Part, neurons: Float[Tensor, "*row neuron"]) -> Tensor:
        """What attention mixes, from the value neurons."""
        return neurons

    def input_norms(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """Norms of what attention and FFN read from the stream, inside the block."""
        first, second = _pair(block, self.places.input_norms)
        # In place of a norm that one block lacks and others have.
        return None if isinstance(first, nn.Identity) else first, second

    def subkeys(
        self, block: Part, sublayer: Sublayer, neurons: Int[Tensor, " neuron"]
    ) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """Rows of the projections that attention or FFN neurons come from."""
        if sublayer == "ffn":
            return {name: rows[neurons] for name, rows in self.ffn_inputs(block).items()}
        site = self.site(block, "value")
        mixed = len(self.attention_vectors(block))
        if site.size != mixed:  # several query heads share the values of one key-value head
            size = part(block, self.places.head_size)
            neurons = neurons // size // (mixed // site.size) * size + neurons % size
        rows = neurons if site.columns is None else site.columns.to(neurons.device)[neurons]
        return {"value": matrix(site.module)[rows]}

    def parallel(self, block: Part) -> bool:
        """Whether the FFN reads what attention reads, not what attention has added to."""
        flag, (first, second) = part(block, self.places.parallel), self.places.input_norms
        return bool(first) and first == second if flag is None else bool(flag)

    def branch_norms(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """Norms of what attention and FFN put out, before it is added to the stream."""
        return _pair(block, self.places.branch_norms)

    def branch_factor(self, block: Part) -> float:
        """What the output of attention and FFN is multiplied by, before it is added."""
        factor = part(block, self.places.branch_factor)
        return 1.0 if factor is None else float(factor)

    def stream_norms(self, block: Part) -> tuple[nn.Module | None, nn.Module | None]:
        """Norms of the stream itself, after attention's and the FFN's output were added."""
        return _pair(block, self.places.stream_norms)

    def directions(self, block: Part, sublayer: Sublayer) -> Float[Tensor, "neuron hidden"]:
        """What each FFN or attention neuron adds to the residual stream per unit.

        Up to a positive factor where a norm of the branch follows.
        """
        vectors = self.vectors(block, sublayer) * self.branch_factor(block)
        norm = self.branch_norms(block)[SUBLAYERS.index(sublayer)]
        return vectors if norm is None else vectors * self.norm_scale(norm)

    def norm_scale(self, norm: Part) -> Float[Tensor, " hidden"] | float:
        """What a norm multiplies the normed state by; 1 where it has no weights."""
        weight = getattr(norm, "weight", None)
        if weight is None:
            return 1.0
        return 1 + weight if self.less_one else weight

    def norm_centred(self, norm: Part) -> bool:
        """Whether a norm takes away the mean."""
        return self.centred or isinstance(norm, nn.LayerNorm)

    def norm_epsilon(self, norm: Part) -> float:
        """What a norm adds to the variance."""
        return getattr(norm, "variance_epsilon", None) or norm.eps

    def head_transform(self, hf: Any) -> tuple[Part, Part] | None:
        """A masked model's dense layer and norm before the unembedding; between them a gelu."""
        dense, norm = _pair(hf, self.places.transform)
        return None if dense is None else (dense, norm)

    def logit_cap(self, hf: Any) -> float | None:
        """Where the head squeezes its logits into (-cap, cap)."""
        return part(hf, self.places.logit_cap)

    def logit_factor(self, hf: Any) -> float:
        """What the head multiplies its logits by, before any cap."""
        return 1.0

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Logits over the vocabulary, (row, vocabulary), from the normed final hidden state."""
        logits = _through(hf, self.places.head, hidden)
        factor, cap = self.logit_factor(hf), self.logit_cap(hf)
        logits = logits if factor == 1.0 else logits * factor
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def final_norm(self, hf: Any) -> nn.Module | None:
        """The norm between the residual stream and the head; None where blocks end in a norm."""
        return part(hf.base_model, self.places.norm)

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Logits over the classes, (row, class).

        A decoder's head scores the last token. An encoder's picks the first itself: it gets a
        sequence of one.
        """
        return _through(hf, self.places.classifier, hidden if self.causal else hidden[:, None])


def twin(module: nn.Module, config: Any) -> nn.Module:
    """A module of its own on the same parameters, and with the same configuration."""
    same = [*module.parameters(), *module.buffers(), config]
    return copy.deepcopy(module, {id(each): each for each in same})


def _pair(root: Any, paths: tuple[str, str]) -> tuple[Part, Part]:
    return part(root, paths[0]), part(root, paths[1])


def _through(hf: Any, paths: tuple[str, ...], hidden: Tensor) -> Tensor:
    for path in paths:
        hidden = part(hf, path)(hidden)
    return hidden
