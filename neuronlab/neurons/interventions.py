"""Change neurons during a forward pass: suppress, amplify, affine, keep only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.models import COMPONENTS, Component, Encoded, Model, Prompt
from neuronlab.models.hooks import Edit, Neurons
from neuronlab.neurons.neurons import NeuronSet

# Every token, the predicted one alone, or some tokens, counted from 0 with the special ones.
Positions = Literal["all", "predicted"] | tuple[int, ...]
At = tuple[int, Component]


@dataclass(frozen=True)
class Intervention:
    """h' = a h + b for the neurons of a set; other neurons stay as they are.

    Attributes:
        neurons: which neurons change.
        positions: at every token (as zeroing the parameters would), at the predicted one alone (of
            an encoder at all, as ``Model.span`` says), or at chosen tokens.
    """

    neurons: NeuronSet
    positions: Positions = "all"

    def __post_init__(self) -> None:
        if not isinstance(self.neurons, NeuronSet):
            kind = type(self.neurons).__name__
            raise TypeError(f"An intervention changes a NeuronSet, not a {kind}.")
        named = isinstance(self.positions, str) and self.positions in ("all", "predicted")
        if not named and not isinstance(self.positions, tuple):
            raise UserError(
                f"Neurons change at 'all' tokens, at the 'predicted' one or at a tuple of tokens, "
                f"not at {self.positions!r}."
            )
        if not named and any(type(token) is not int for token in self.positions):
            raise UserError(f"Tokens are counted in whole numbers: {self.positions!r}.")
        if not (_finite(self.scale) and _finite(self.shift)):
            raise UserError(
                "Neurons become a h + b with finite numbers, which float32 holds: change a or b."
            )

    @property
    def scale(self) -> float:
        """a in h' = a h + b."""
        return 1.0

    @property
    def shift(self) -> float:
        """b in h' = a h + b, in units of the activation."""
        return 0.0

    def coefficients(self, model: Model) -> dict[At, tuple[Tensor, Tensor]]:
        """Scale and shift of every neuron of each place that changes, each (neuron,)."""
        self.neurons.check(model)
        changes = {}
        for (layer, component), indices in self.neurons.by_place().items():
            scale = torch.ones(model.sizes[component], device=model.device, dtype=torch.float32)
            shift = torch.zeros_like(scale)
            scale[indices], shift[indices] = self.scale, self.shift
            changes[layer, component] = scale, shift
        return changes

    def token_shifts(self, model: Model) -> dict[At, dict[int, Tensor]]:
        """Shifts, (neuron,), of single tokens that are not those of ``coefficients``."""
        return {}


def _finite(number: float) -> bool:
    """Whether float32 holds a number."""
    return abs(number) <= torch.finfo(torch.float32).max


@dataclass(frozen=True)
class Suppress(Intervention):
    """h' = 0."""

    @property
    def scale(self) -> float:
        """Zero."""
        return 0.0


@dataclass(frozen=True)
class Amplify(Intervention):
    """h' = factor h."""

    positions: Positions = "all"
    factor: float = 2.0

    @property
    def scale(self) -> float:
        """The factor."""
        return self.factor


@dataclass(frozen=True)
class Affine(Intervention):
    """h' = a h + b (paper 2507.06458)."""

    positions: Positions = "all"
    a: float = 1.0
    b: float = 0.0

    @property
    def scale(self) -> float:
        """a."""
        return self.a

    @property
    def shift(self) -> float:
        """b."""
        return self.b


@dataclass(frozen=True)
class KeepOnly(Intervention):
    """All neurons of the chosen components outside the set go to 0, or to a mean.

    Attributes:
        components: which components are emptied; the others stay untouched.
        means: per (layer, component) the value of each neuron, (neuron,), instead of 0.
        token_means: the same at single tokens, instead of those of ``means``: by the number of the
            token, from 0 or, from the end, from -1. The special tokens at both ends of a protein
            are no residues, and have means of their own.
    """

    components: tuple[Component, ...] = COMPONENTS
    # Components have different sizes: " _" is any.
    means: Mapping[At, Float[Tensor, " _"]] | None = None
    token_means: Mapping[int, Mapping[At, Float[Tensor, " _"]]] = field(default_factory=dict)

    @classmethod
    def at_means(
        cls,
        neurons: NeuronSet,
        model: Model,
        prompt: Prompt,
        *,
        positions: Positions = "all",
        components: tuple[Component, ...] = COMPONENTS,
    ) -> KeepOnly:
        """Others go to their mean over the tokens of a prompt.

        The special tokens at its ends have no part in the means and stay as they are: what the
        first token of a text or a protein holds is like nothing else in it.

        Raises:
            UserError: the prompt does not fit the model.
        """
        encoded = model.encode(prompt)
        ids = encoded.ids
        special = {*model.tokenizer.all_special_ids} - {model.tokenizer.mask_token_id}
        means: dict[At, Tensor] = {}
        token_means: dict[int, dict[At, Tensor]] = {}
        for at, values in model.read(encoded, components).items():
            tokens = range(len(ids))[model.tokens_at(encoded, at)]
            ends = [token for token in sorted({tokens[0], tokens[-1]}) if ids[token] in special]
            inner = [token - tokens.start for token in tokens if token not in ends]
            means[at] = values[0, inner or slice(None)].float().mean(0)
            for token in ends:
                token_means.setdefault(token, {})[at] = values[0, token - tokens.start].float()
        return cls(neurons, positions, components, means, token_means)

    def coefficients(self, model: Model) -> dict[At, tuple[Tensor, Tensor]]:
        """Scale 1 for the set and 0 elsewhere; shift 0 for the set and the mean elsewhere."""
        self.neurons.check(model)
        wrong = [c for c in self.components if c not in model.sizes]
        if wrong:
            there = ", ".join(model.sizes)
            raise UserError(f"'{wrong[0]}' is no component: choose from {there}.")
        kept = self.neurons.by_place()
        changes = {}
        for at in model.places(self.components):
            size = model.sizes[at[1]]
            keep = torch.zeros(size, device=model.device, dtype=torch.float32)
            if at in kept:
                keep[kept[at]] = 1.0
            mean = torch.zeros_like(keep)
            if self.means is not None:
                mean = self._mean(self.means, at, size).to(keep)
            changes[at] = keep, (1 - keep) * mean
        return changes

    def token_shifts(self, model: Model) -> dict[At, dict[int, Tensor]]:
        """The means at single tokens, 0 for the set."""
        kept = self.neurons.by_place()
        shifts: dict[At, dict[int, Tensor]] = {}
        for token, means in self.token_means.items():
            for at in model.places(self.components) if len(model.stacks) == 1 else means:
                mean = self._mean(means, at, model.sizes[at[1]])
                mean = mean.to(model.device, torch.float32, copy=True)
                mean[kept.get(at, [])] = 0
                shifts.setdefault(at, {})[token] = mean
        return shifts

    @staticmethod
    def _mean(means: Mapping[At, Tensor], at: At, size: int) -> Float[Tensor, " neuron"]:
        mean = means.get(at)
        if isinstance(mean, Tensor) and mean.shape == (size,) and mean.is_floating_point():
            return mean
        layer, component = at
        raise UserError(
            f"The means of layer {layer}, {component}, must be a tensor of {size} numbers."
        )


@contextmanager
def applied(
    model: Model, encoded: Encoded, interventions: Sequence[Intervention | None]
) -> Iterator[None]:
    """While open, row i of a batch runs under intervention i; ``None`` leaves its row alone.

    The model is locked for others while the context is open and is as before afterwards, also
    after an exception.
    """
    with model.lock, model.edit(edits_of(model, interventions, encoded)):
        yield


def edits_of(
    model: Model, interventions: Sequence[Intervention | None], encoded: Encoded | None = None
) -> dict[At, Edit]:
    """What ``Model.edit`` takes to run row i of a batch under intervention i.

    Args:
        encoded: the prompt, of interventions at the predicted position and of encoder-decoders.

    Raises:
        UserError: a set is of another model; or, at the latest when the edits run, a chosen token
            is not there.
    """
    for one in interventions:
        if one is not None and not isinstance(one, Intervention):
            kind = type(one).__name__
            raise TypeError(f"An intervention is nl.Suppress(…) or another of them, not a {kind}.")
    coefficients = [{} if i is None else i.coefficients(model) for i in interventions]
    token_shifts = [{} if i is None else i.token_shifts(model) for i in interventions]
    chosen = {token for i in interventions if i is not None for token in _chosen(i)}
    if encoded is not None:
        _check_tokens(chosen, encoded.length)

    def edit(at: At) -> Edit:
        first = 0 if encoded is None else model.tokens_at(encoded, at).start
        one = torch.ones(model.sizes[at[1]], device=model.device, dtype=torch.float32)
        neutral = one, torch.zeros_like(one)
        scales, shifts = zip(*(row.get(at, neutral) for row in coefficients), strict=True)
        by_token: dict[int, dict[int, Tensor]] = {}
        for row, places in enumerate(token_shifts):
            for token, values in places.get(at, {}).items():
                by_token.setdefault(token - first, {})[row] = values.to(model.dtype)
        return _RowEdit(
            scale=torch.stack(scales).to(model.dtype),
            shift=torch.stack(shifts).to(model.dtype),
            touched=[at in row for row in coefficients],
            tokens=[_tokens(model, i, at, encoded) for i in interventions],
            chosen=chosen if encoded is None else set(),
            token_shifts=by_token,
        )

    return {at: edit(at) for row in coefficients for at in row}


def _tokens(
    model: Model, intervention: Intervention | None, at: At, encoded: Encoded | None
) -> list[int] | None:
    """Where the neurons of a place change, of the tokens that have any; None is everywhere."""
    if intervention is None or intervention.positions == "all":
        return None
    if encoded is None:
        return list(_chosen(intervention))
    there = model.tokens_at(encoded, at)
    tokens = range(there.stop - there.start)
    if intervention.positions == "predicted":
        return list(tokens[model.span(encoded, at, everywhere=False)])
    return [each - there.start for each in _chosen(intervention) if each - there.start in tokens]


def _check_tokens(chosen: Collection[int], length: int) -> None:
    if any(not 0 <= token < length for token in chosen):
        raise UserError(
            f"There are {length} tokens, and neurons were to change at others: choose from "
            f"0 to {length - 1}."
        )


def _chosen(intervention: Intervention) -> tuple[int, ...]:
    return () if isinstance(intervention.positions, str) else intervention.positions


@dataclass(frozen=True)
class _RowEdit:
    """Changes the neurons of one place, in each row of a batch in its own way.

    Attributes:
        touched: whether the row's intervention changes anything at this place.
        tokens: of each row, where its neurons change; None is everywhere.
        chosen: tokens that have to be there.
        token_shifts: by token and row, instead of ``shift``.
    """

    scale: Float[Tensor, "row neuron"]
    shift: Float[Tensor, "row neuron"]
    touched: list[bool]
    tokens: list[list[int] | None]
    chosen: set[int]
    token_shifts: dict[int, dict[int, Tensor]]

    def __call__(self, neurons: Neurons) -> Neurons:
        length = neurons.shape[1]
        _check_tokens(self.chosen, length)
        changed = self._scaled(neurons)
        for number, shifts in self.token_shifts.items():
            if not -length <= number < length:
                raise UserError(f"There are {length} tokens, and none is number {number}.")
            token = number % length
            rows = [r for r in shifts if (at := self.tokens[r]) is None or token in at]
            if rows:
                means = torch.stack([shifts[r] for r in rows])
                changed[rows, token] = neurons[rows, token] * self.scale[rows] + means
        return changed

    def _scaled(self, neurons: Neurons) -> Neurons:
        if all(self.touched) and all(tokens is None for tokens in self.tokens):
            return neurons * self.scale[:, None] + self.shift[:, None]
        changed = neurons.clone()
        for row, tokens in enumerate(self.tokens):
            if self.touched[row]:
                at = slice(None) if tokens is None else tokens
                changed[row, at] = neurons[row, at] * self.scale[row] + self.shift[row]
        return changed
