"""The residual stream at the predicted position, as a sum of what each part of the model wrote.

A part is what an attention or FFN neuron, a head, a layer, the embedding or a bias added. Between
a part and the logits stand norms (and, in masked models, one dense layer), whose statistics are
frozen at what they are on this prompt, as in arXiv 2312.12141: what is left is linear, so that
the parts add up, exactly, to the final state, and the logits of any partial sum are defined. All
parts are told in the coordinates of the state that the last block puts out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from neuronlab.errors import UserError
from neuronlab.models.components import SUBLAYERS, Sublayer
from neuronlab.models.frozen import FrozenNorm, Readout, frozen_norm, readout_of
from neuronlab.models.hooks import Edit, attention_by, before

if TYPE_CHECKING:
    from neuronlab.models.model import Model
    from neuronlab.models.prompt import Encoded

_NAME = "neuronlab_recorded"
# What a part passes through on its way to the final state; None leaves it as it is.
Map = Float[Tensor, "hidden hidden"] | None


# By layer and sublayer; None where there is none.
Norms = dict[tuple[int, Sublayer], FrozenNorm | None]


@dataclass(frozen=True)
class Recording:
    """What was written to the residual stream at some positions of one prompt, and its norms.

    Attributes:
        start: what the embedding wrote, (position, hidden).
        attention: coefficient of each attention neuron, summed over the positions it reads from,
            (layer, position, neuron).
        ffn: coefficient of each FFN neuron, (layer, position, neuron).
        branch_norms, stream_norms: see ``Family``.
    """

    start: Float[Tensor, "position hidden"]
    attention: Float[Tensor, "layer position attention_neuron"]
    ffn: Float[Tensor, "layer position ffn_neuron"]
    branch_norms: Norms
    stream_norms: Norms


@dataclass(frozen=True)
class Stream:
    """One prompt's residual stream at the predicted position.

    Attributes:
        start: what the embedding wrote, (hidden,).
        attention: coefficient of each attention neuron at each position it reads from, (layer,
            position, neuron): attention weight times value. Neuron (head, dimension) has the index
            head * head size + dimension.
        attention_weights: how much each head attends to each position, (layer, head, position).
        ffn: coefficient of each FFN neuron, (layer, neuron): its activation.
        maps: by layer and sublayer, (hidden, hidden) from the coordinates of what it puts out to
            those of the final state; None where these are the same.
        biases: what biases wrote with the attention (first) and the FFN (second), (layer, 2,
            hidden).
    """

    model: Model
    start: Float[Tensor, " hidden"]
    attention: Float[Tensor, "layer position attention_neuron"]
    attention_weights: Float[Tensor, "layer head position"]
    ffn: Float[Tensor, "layer ffn_neuron"]
    maps: dict[tuple[int, Sublayer], Map]
    biases: Float[Tensor, "layer 2 hidden"]
    readout: Readout

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return self.attention_weights.shape[1]

    def vectors(
        self, layer: int, sublayer: Sublayer, neurons: slice | list[int] = slice(None)
    ) -> Float[Tensor, "neuron hidden"]:
        """What one unit of each attention or FFN neuron adds to the final state."""
        vectors = self.model.family.vectors(self.model.block(layer), sublayer)
        return _mapped(vectors[neurons].float(), self.maps[layer, sublayer])

    def attention_vectors(self, layer: int) -> Float[Tensor, "neuron hidden"]:
        """What one unit of each attention neuron adds to the final state."""
        return self.vectors(layer, "attention")

    def ffn_vectors(self, layer: int) -> Float[Tensor, "neuron hidden"]:
        """What one unit of each FFN neuron adds to the final state."""
        return self.vectors(layer, "ffn")

    def head_parts(self, layer: int) -> Float[Tensor, "position head hidden"]:
        """What each head added from each position."""
        family, block = self.model.family, self.model.block(layer)
        per_head = self.attention[layer].unflatten(-1, (self.heads, -1))
        vectors = family.attention_vectors(block).float().unflatten(0, (self.heads, -1))
        parts = torch.einsum("phd,hdo->pho", per_head, vectors)
        return _mapped(parts, self.maps[layer, "attention"])

    def layer_parts(self) -> Float[Tensor, "layer 2 hidden"]:
        """What attention (first) and FFN (second) of each layer added, without biases."""
        rows = []
        for layer, block in enumerate(self.model.blocks):
            coefficients = self.attention[layer].sum(0), self.ffn[layer]
            for sublayer, each in zip(SUBLAYERS, coefficients, strict=True):
                part = each @ self.model.family.vectors(block, sublayer).float()
                rows.append(_mapped(part, self.maps[layer, sublayer]))
        return torch.stack(rows).unflatten(0, (-1, 2))

    def states(self) -> Float[Tensor, "state hidden"]:
        """The stream before the first layer, then after each attention and each FFN.

        Their numbers are those of ``state_before``, and the last one is the final state.
        """
        parts = (self.layer_parts() + self.biases).flatten(0, 1)
        return torch.cat([self.start[None], parts]).cumsum(0)


def state_before(layer: int, sublayer: Sublayer) -> int:
    """Number of the state that attention (2l) or the FFN (2l + 1) of layer l adds to."""
    return 2 * layer + SUBLAYERS.index(sublayer)


def record(model: Model, encoded: Encoded, positions: Sequence[int]) -> Recording:
    """What every part wrote at these positions; one forward pass."""
    return _recorded(model, encoded, positions)[0]


@torch.no_grad()
def read_stream(model: Model, encoded: Encoded) -> Stream:
    """The residual stream of one prompt; one forward pass.

    Needs a language head: a causal or masked model.

    Raises:
        UserError: an encoder-decoder.
    """
    position = encoded.position
    weights: list[tuple[Tensor, Tensor]] = []
    recorder = _by_interface if model.family.interface else _by_outputs
    with model.lock, recorder(model, position, weights) as inputs:
        written, readout = _recorded(model, encoded, [position], **inputs)

    # From the last block's output backwards: what each part still passes through.
    onward: Map = None
    eye = torch.eye(written.start.shape[1], device=model.device, dtype=torch.float32)
    maps: dict[tuple[int, Sublayer], Map] = {}
    biases = written.start.new_zeros(model.layers, 2, written.start.shape[1])
    for layer in reversed(range(model.layers)):
        factor = model.family.branch_factor(model.block(layer))
        for i, sublayer in reversed([*enumerate(SUBLAYERS)]):
            at = layer, sublayer
            stream, branch = written.stream_norms[at], written.branch_norms[at]
            if stream is not None:
                step = stream.affine()
                biases[layer, i] += _mapped(step.shift, onward)
                onward = _joined(onward, step.matrix)
            maps[at] = onward if factor == 1.0 else _joined(onward, factor * eye)
            if branch is not None:
                step = branch.affine()
                biases[layer, i] += _mapped(step.shift, maps[at])
                maps[at] = _joined(maps[at], step.matrix)
            bias = model.output_bias(layer, sublayer)
            if bias is not None:
                biases[layer, i] += _mapped(bias.float(), maps[at])
    return Stream(
        model=model,
        start=_mapped(written.start[0], onward),
        attention=torch.stack([_coefficients(*record) for record in weights]),
        attention_weights=torch.stack([pattern.float() for pattern, _ in weights]),
        ffn=written.ffn[:, 0],
        maps=maps,
        biases=biases,
        readout=readout,
    )


def _writers(model: Model) -> dict[Any, nn.Module]:
    """The modules whose inputs say what is written to the stream, and what each norm sees."""
    family, transform = model.family, model.family.head_transform(model.hf)
    modules: dict[Any, nn.Module | None] = {
        "start": model.block(0),
        "norm": family.final_norm(model.hf),
        "gated": transform[1] if transform is not None else None,
    }
    for layer, block in enumerate(model.blocks):
        modules[layer, "attention"] = family.attention_output(block)
        modules[layer, "ffn"] = model.site(layer, "ffn").module
        for kind, norms in (
            ("branch", family.branch_norms(block)),
            ("stream", family.stream_norms(block)),
        ):
            for sublayer, norm in zip(SUBLAYERS, norms, strict=True):
                modules[kind, layer, sublayer] = norm
    return {name: module for name, module in modules.items() if module is not None}


@torch.no_grad()
def _recorded(
    model: Model,
    encoded: Encoded,
    positions: Sequence[int],
    **inputs: Any,
) -> tuple[Recording, Readout]:
    """The recording, and how the predicted position is read out.

    Raises:
        UserError: an encoder-decoder, whose answer is not a sum over one stream.
    """
    if len(model.stacks) > 1:
        raise UserError(
            f"{model.title} has two residual streams, an encoder's and a decoder's, and what is "
            "asked adds up over one: choose a method that does without, such as integrated "
            "gradients."
        )
    at, modules = list(positions), _writers(model)
    seen: dict[Any, Tensor] = {}

    def keep(name: Any) -> Edit:
        def function(entering: Tensor) -> Tensor:
            # The head gets the predicted position alone, (row, hidden).
            places = [encoded.position] if name == "norm" else at
            seen[name] = (entering[0, places] if entering.dim() == 3 else entering).float()
            return entering

        return function

    reading = before({name: (module, keep(name)) for name, module in modules.items()})
    with model.lock, reading:
        hidden = model.hidden(encoded.input_ids, encoded.position, **inputs)
        logits = model.logits(hidden)[0]

    def frozen(kind: str) -> Norms:
        norms: Norms = {}
        for at in itertools.product(range(model.layers), SUBLAYERS):
            name = (kind, *at)
            norms[at] = frozen_norm(model, modules[name], seen[name]) if name in modules else None
        return norms

    layers = range(model.layers)
    written = Recording(
        start=seen["start"],
        attention=torch.stack([seen[layer, "attention"] for layer in layers]),
        ffn=torch.stack([seen[layer, "ffn"] for layer in layers]),
        branch_norms=frozen("branch"),
        stream_norms=frozen("stream"),
    )
    return written, readout_of(model, seen, hidden[0].float(), logits)


def _mapped(rows: Float[Tensor, "*row hidden"], onward: Map) -> Float[Tensor, "*row hidden"]:
    return rows if onward is None else rows @ onward.T


def _joined(onward: Map, first: Float[Tensor, "hidden hidden"]) -> Float[Tensor, "hidden hidden"]:
    return first if onward is None else onward @ first


@contextmanager
def _by_interface(
    model: Model, position: int, weights: list[tuple[Tensor, Tensor]]
) -> Iterator[dict[str, Any]]:
    """Inputs of a pass that notes weights and values where transformers computes attention."""
    with attention_by(model.hf, _NAME):
        yield {"recorded": weights, "recorded_position": position}


@contextmanager
def _by_outputs(
    model: Model, position: int, weights: list[tuple[Tensor, Tensor]]
) -> Iterator[dict[str, Any]]:
    """The same of a model that computes attention itself, and puts out its weights when asked."""
    family = model.family
    values: dict[int, Tensor] = {}
    patterns: dict[int, Tensor] = {}

    def keep(layer: int) -> Edit:
        def function(neurons: Tensor) -> Tensor:
            mixed = family.mixed_values(model.block(layer), neurons)[0]
            values[layer] = mixed.unflatten(-1, (-1, model.head_size)).transpose(0, 1)
            return neurons

        return function

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        patterns.update(enumerate(output.attentions))

    trunk = model.hf.base_model
    with (
        attention_by(model.hf, "eager"),
        model.edit({(layer, "value"): keep(layer) for layer in range(model.layers)}),
    ):
        handle = trunk.register_forward_hook(note, with_kwargs=True)
        try:
            yield {"output_attentions": True}
        finally:
            handle.remove()
    for layer in range(model.layers):
        pattern = patterns[layer][0, :, position]
        group = len(pattern) // len(values[layer])
        weights.append((pattern, values[layer].repeat_interleave(group, dim=0)))


def _attend(
    module: nn.Module,
    query: Float[Tensor, "row head token dim"],
    key: Float[Tensor, "row kv_head token dim"],
    value: Float[Tensor, "row kv_head token dim"],
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    recorded: list[tuple[Tensor, Tensor]],
    recorded_position: int,
    **kwargs: Any,
) -> tuple[Float[Tensor, "row token head dim"], None]:
    """Softmax attention, written out; weights and values are noted layer after layer."""
    group = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(group, dim=1)
    value = value.repeat_interleave(group, dim=1)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(-1, -2) * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1)
    recorded.append((weights[0, :, recorded_position], value[0]))
    return (weights @ value).transpose(1, 2), None


def _coefficients(
    weights: Float[Tensor, "head position"], values: Float[Tensor, "head position dim"]
) -> Float[Tensor, "position neuron"]:
    return (weights[..., None] * values).float().transpose(0, 1).flatten(1)


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, eager_mask)
