"""The places in texts at which every neuron of a language model is most positive and negative.

One pass; memory does not grow with the texts, since of every neuron its extremes alone are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuronlab.labels.reading import visit
from neuronlab.models import Component, Model
from neuronlab.models.hooks import Neurons
from neuronlab.models.precision import Precision, products
from neuronlab.progress import Fraction, unheard

# A longer text is cut: its activations are looked at word by word.
MAX_TOKENS = 128
# Places kept at the negative end, of which no label is made.
LEAST = 2
ENDS = ("top", "bottom")
# What is kept of a place: the activation, the number of the text, and the token's place in it.
PARTS: dict[str, type] = {"value": np.float16, "text": np.int32, "token": np.uint8}

Array = np.ndarray


def token_ids(model: Model, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text with the model's special ones, ``MAX_TOKENS`` at most."""
    length = min(MAX_TOKENS, model.max_tokens)
    return model.tokenizer(list(texts), truncation=True, max_length=length)["input_ids"]


def counted(model: Model) -> slice:
    """Which tokens of a text count: no special ones, and from left to right not the first.

    All others look at the first token of a text, whatever it is: what neurons do there says nothing
    about it.
    """
    if model.family.causal:
        return slice(1, None)
    return slice(1, -1) if model.tokenizer.num_special_tokens_to_add() else slice(None)


class Contexts:
    """Where texts drive the neurons of one component most, either way, each text counting once."""

    def __init__(self, keep: int) -> None:
        """None yet.

        Args:
            keep: places kept at the positive end; at the negative end ``LEAST`` of them.
        """
        self._keep = {"top": keep, "bottom": min(LEAST, keep)}
        self._kept: dict[tuple[str, int], tuple[Tensor, ...]] = {}

    def add(
        self,
        layer: int,
        texts: Sequence[int],
        neurons: Float[Tensor, "text token neuron"],
        counting: Bool[Tensor, "text token"],
    ) -> None:
        """Some more texts, as one layer sees them: of each the token that is most at either end."""
        numbers = torch.tensor(texts, device="cpu", dtype=torch.int32)
        # A token that counts in all of the texts: where one does not, it says nothing new.
        first = int(counting.all(0).nonzero()[0])
        seen = neurons
        if not counting[:, first:].all():
            seen = torch.where(counting[..., None], neurons, neurons[:, first : first + 1])
        for end, most in (("top", torch.amax), ("bottom", torch.amin)):
            sign = 1 if end == "top" else -1
            values = most(seen[:, first:], 1).float().cpu()
            columns = self._beaten(end, layer, values)
            if not len(columns):
                continue
            of_columns = sign * values[:, columns].T
            best = of_columns.topk(min(self._keep[end], len(texts))).indices
            at = (best.to(neurons.device), slice(None), columns[:, None].to(neurons.device))
            uncounted = ~counting[at[0]]
            token = (sign * neurons[at]).masked_fill(uncounted, -torch.inf).argmax(-1)
            parts = (sign * of_columns.gather(-1, best), numbers[best], token.cpu().to(torch.uint8))
            self._add(end, layer, columns, parts)

    def join(self, arrays: Mapping[str, Array], component: Component) -> None:
        """What another part of the texts gave as ``arrays``."""
        for end in ENDS:
            parts = [torch.from_numpy(arrays[f"{end}_{name}.{component}"]) for name in PARTS]
            for layer, (value, text, token) in enumerate(zip(*parts, strict=True)):
                every = torch.arange(len(value), device="cpu", dtype=torch.int64)
                self._add(end, layer, every, (value.float(), text, token))

    def _beaten(
        self, end: str, layer: int, values: Float[Tensor, "text neuron"]
    ) -> Int[Tensor, " changed"]:
        """The neurons for which one of the texts is among the most extreme: after many, few."""
        kept = self._kept.get((end, layer))
        if kept is None or kept[0].shape[-1] < self._keep[end]:
            return torch.arange(values.shape[1], device="cpu", dtype=torch.int64)
        last = kept[0][:, -1]
        further = values.amax(0) > last if end == "top" else values.amin(0) < last
        return further.nonzero()[:, 0]

    def _add(
        self, end: str, layer: int, columns: Int[Tensor, " changed"], parts: tuple[Tensor, ...]
    ) -> None:
        """Places (neuron, place) of some neurons; of all while there are too few."""
        kept = self._kept.get((end, layer))
        if kept is not None:
            parts = tuple(torch.cat([k[columns], p], -1) for k, p in zip(kept, parts, strict=True))
        count = min(self._keep[end], parts[0].shape[-1])
        order = parts[0].topk(count, largest=end == "top").indices
        best = tuple(part.gather(-1, order) for part in parts)
        if kept is None or len(columns) == len(kept[0]):
            self._kept[end, layer] = best
            return
        for k, p in zip(kept, best, strict=True):
            k[columns] = p

    def arrays(self, component: Component) -> dict[str, Array]:
        """As arrays of a result, ``{end}_{part}.{component}`` (layer, neuron, kept), best first."""
        arrays: dict[str, Array] = {}
        for end in ENDS:
            layers = [kept for (e, _), kept in sorted(self._kept.items()) if e == end]
            for (name, dtype), parts in zip(PARTS.items(), zip(*layers, strict=True), strict=True):
                arrays[f"{end}_{name}.{component}"] = (
                    torch.stack(parts).numpy(force=True).astype(dtype)
                )
        return arrays


def contexts(
    model: Model,
    ids: Sequence[list[int]],
    numbers: Sequence[int],
    components: Sequence[Component],
    keep: int,
    precision: Precision = "float32",
    progress: Fraction = unheard,
) -> dict[Component, Contexts]:
    """The extremes of all neurons on some texts.

    Args:
        ids: the tokens of each text (``token_ids``); one of which none counts has no place.
        numbers: of the texts, as the places name them.
        keep: see ``Contexts``.
        precision: of the products; what is added up between them stays as the model has it.
        progress: called with a fraction after every batch; an exception it raises ends the work.
    """
    by_component = {c: Contexts(keep) for c in components}
    some = counted(model)
    rows_of_text = [at for at, row in enumerate(ids) if row[some]]

    def see(
        rows: list[int], layer: int, component: Component, neurons: Neurons, counting: Tensor
    ) -> None:
        texts = [numbers[rows_of_text[row]] for row in rows]
        by_component[component].add(layer, texts, neurons, counting)

    with products(precision, model.device):
        visit(model, [ids[at] for at in rows_of_text], some, components, see, progress)
    return by_component


def words(model: Model) -> tuple[list[str], Int[Array, " token"]]:
    """All words that tokens are, spaces and case aside, and which of them each token is."""
    texts = [model.decoded(token).strip().casefold() for token in range(model.embeddings)]
    distinct, of_token = np.unique(texts, return_inverse=True)
    return distinct.tolist(), of_token


def activations(
    model: Model,
    texts: Sequence[str],
    component: Component,
    layer: int,
    neuron: int,
    progress: Fraction = unheard,
) -> list[tuple[list[str], Float[Array, " token"]]]:
    """Of each text its tokens, as a person reads them, and a neuron's activation at each.

    Args:
        progress: called with a fraction after every batch; an exception it raises ends the work.
    """
    ids = token_ids(model, texts)
    seen: dict[int, Array] = {}

    def see(rows: list[int], at: int, _: Component, neurons: Neurons, counting: Tensor) -> None:
        if at == layer:
            for place, row in enumerate(rows):
                seen[row] = neurons[place, : len(ids[row]), neuron].float().numpy(force=True)

    visit(model, ids, counted(model), (component,), see, progress)
    return [([model.token(token) for token in row], seen[at]) for at, row in enumerate(ids)]
