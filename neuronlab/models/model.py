"""A loaded model: the transformers module, its tokenizer, and where its neurons are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.errors import UserError
from neuronlab.models.components import (
    COMPONENTS,
    CROSS,
    READABLE,
    SUBLAYERS,
    Component,
    Sublayer,
)
from neuronlab.models.encoding import encode
from neuronlab.models.entries import Alphabet, Kind
from neuronlab.models.exclusion import ModelLock
from neuronlab.models.families import Family, Site
from neuronlab.models.hooks import Edit, Neurons
from neuronlab.models.hooks import edit as edit_sites
from neuronlab.models.prompt import Encoded, Prompt
from neuronlab.models.token_model import TokenModel


def names_of_layers(stacks: Mapping[str, int]) -> list[str]:
    """By their numbers; in an encoder-decoder by those in their stack, behind its name.

    Args:
        stacks: how many layers each has, by name.
    """
    return [f"{name} {at}".lstrip() for name, count in stacks.items() for at in range(count)]


def with_layer_names(table: pd.DataFrame, stacks: Mapping[str, int]) -> pd.DataFrame:
    """A table with layers, and beside them their ``layer_name`` where there are two stacks.

    Args:
        stacks: how many layers each has, by name; none of a single one.
    """
    if len(stacks) < 2 or "layer_name" in table:
        return table
    named = table.copy()
    names = np.array(names_of_layers(stacks))[table["layer"]]
    named.insert(table.columns.get_loc("layer") + 1, "layer_name", names)
    return named


class Model(TokenModel):
    """One model on one device, frozen. Build it with ``neuronlab.load``.

    Attributes:
        layers: number of transformer blocks; an encoder's come before its decoder's.
        stacks: the layers that read the same tokens, by name: all, without a name; or those of an
            "encoder" and of its "decoder".
        sizes: neurons per layer of each component, in layers that have it.
        revision: what the weights are: a hash or a commit, part of every result's identity.
        note: what was done to the weights before, as a sentence, such as an adapter that was merged
            into them; or "".
        lock: held by whoever runs the model; a model is shared by all who use the server, and none
            is made while one runs.
    """

    def __init__(
        self,
        hf: Any,
        tokenizer: Any,
        family: Family,
        *,
        name: str,
        kind: Kind,
        alphabet: Alphabet,
        revision: str = "",
        title: str = "",
        note: str = "",
    ) -> None:
        # Only activations need gradients; frozen parameters make a backward pass several times
        # faster.
        super().__init__(
            hf.eval().requires_grad_(False),
            tokenizer,
            family,
            name=name,
            title=title or name,
            kind=kind,
            alphabet=alphabet,
        )
        self.revision = revision
        self.note = note
        self.blocks = family.blocks(hf)
        self.layers = len(self.blocks)
        self.stacks: dict[str, range] = {}
        for name, count in family.stacks(hf).items():
            first = sum(map(len, self.stacks.values()))
            self.stacks[name] = range(first, first + count)
        # A component that not every block has is the decoder's.
        last = self.layers - 1
        there = [c for c in READABLE if self.has(last, c)]
        self.sizes: dict[Component, int] = {c: self.site(last, c).size for c in there}
        self.lock = ModelLock()
        types = "token_type_ids" in tokenizer.model_input_names
        several = getattr(hf.config, "type_vocab_size", 0) > 1
        self._two_texts = kind == "classifier" and types and several

    def __repr__(self) -> str:
        note = f" {self.note}" if self.note else ""
        return f"Model({self.name!r}, {self.kind}, {self.layers} layers, {self.device}){note}"

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating-point type."""
        return self.hf.dtype

    @property
    def heads(self) -> int:
        """Query heads per layer."""
        return self.hf.config.num_attention_heads

    @property
    def head_size(self) -> int:
        """Dimensions of a head."""
        return self.sizes["attention"] // self.heads

    @property
    def components(self) -> tuple[Component, ...]:
        """Query, key, value and FFN, and those of cross-attention where the model has any."""
        return tuple(c for c in (*COMPONENTS, *CROSS) if c in self.sizes)

    def has(self, layer: int, component: Component) -> bool:
        """Whether a layer has neurons of a component."""
        return self.family.has(self.blocks[layer], component)

    def places(self, components: Iterable[Component]) -> list[tuple[int, Component]]:
        """Every layer with each of the components that it has."""
        chosen = tuple(components)
        return [(at, c) for at in range(self.layers) for c in chosen if self.has(at, c)]

    @property
    def layer_names(self) -> list[str]:
        """How layers are called: see ``names_of_layers``."""
        return names_of_layers(self._sizes_of_stacks)

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with layers, named where there are two stacks: see ``with_layer_names``."""
        return with_layer_names(table, self._sizes_of_stacks)

    @property
    def _sizes_of_stacks(self) -> dict[str, int]:
        return {name: len(layers) for name, layers in self.stacks.items()}

    def tokens_at(self, encoded: Encoded, at: tuple[int, Component]) -> slice:
        """The tokens of a prompt that have neurons of a layer and component.

        All; in an encoder-decoder those that the encoder reads or, from the decoder's layers on
        and but for keys and values of cross-attention, those that the decoder does.
        """
        length, (layer, component) = encoded.input_ids.shape[1], at
        decodes = encoded.prefix is not None and layer in self.stacks["decoder"]
        if not decodes or component in ("cross_key", "cross_value"):
            return slice(0, length)
        return slice(length, encoded.length)

    def span(self, encoded: Encoded, at: tuple[int, Component], *, everywhere: bool) -> slice:
        """The tokens, of ``tokens_at``, whose neurons are meant at the predicted position.

        That position alone; where it has no such neurons, as in an encoder, all.

        Args:
            everywhere: all in any case.
        """
        tokens = self.tokens_at(encoded, at)
        place = encoded.position - tokens.start
        if everywhere or not 0 <= place < tokens.stop - tokens.start:
            return slice(None)
        return slice(place, place + 1)

    def site(self, layer: int, component: Component) -> Site:
        """Where the neurons of a component of a layer are read and written."""
        block = self.blocks[layer]
        if component == "attention":
            return self.family.attention_site(block)
        if component == "residual":
            return self.family.residual_site(block)
        return self.family.site(block, component)

    def edit(self, edits: Mapping[tuple[int, Component], Edit]) -> Any:
        """A context in which each (layer, component) named passes through its function."""
        return edit_sites({at: (self.site(*at), function) for at, function in edits.items()})

    def residue_ids(self, sequence: str) -> list[int]:
        """A protein's token ids with the special tokens at its ends, nothing hidden.

        Raises:
            UserError: not a protein model, a residue it does not know, or too long.
        """
        encoded = self.encode(Prompt(sequence, mask=0 if self.kind == "masked" else None))
        ids = encoded.input_ids[0].tolist()
        if self.kind == "masked":  # encoding hides a residue: put it back
            first = "".join(sequence.split())[0].upper()
            ids[encoded.position] = self.residue_tokens[first]
        return ids

    def encode(self, prompt: Prompt) -> Encoded:
        """The prompt as token ids. Raises UserError with one sentence where it cannot be."""
        if not isinstance(prompt, Prompt):
            raise TypeError(f"What is asked is an nl.Prompt, not a {type(prompt).__name__}.")
        return encode(self, prompt)

    def hidden(
        self,
        ids: Int[Tensor, "row token"],
        position: int | slice,
        prefix: Int[Tensor, "1 prefix"] | None = None,
        **inputs: Any,
    ) -> Tensor:
        """Normed final hidden states at one position, (row, hidden), or a slice of them.

        There may be more rows than ids had: hooks may add some on the way.

        Args:
            prefix: what an encoder-decoder's decoder reads; positions count on from the ids to it.
        """
        if prefix is not None:
            assert isinstance(position, int)  # of a decoder one position is asked
            inputs["prefix"] = prefix.expand(len(ids), -1)
            position -= ids.shape[1]
        inputs = {"use_cache": False, **inputs} if self.kind == "causal" else inputs
        if self._two_texts:
            inputs = {"token_type_ids": self._token_types(ids), **inputs}
        return self.family.states(self.hf, ids, **inputs)[:, position]

    def _token_types(self, ids: Int[Tensor, "row token"]) -> Int[Tensor, "row token"]:
        """1 for the second of two texts, each of which ends in a separator."""
        ends = (ids == self.tokenizer.sep_token_id).long()
        return (ends.cumsum(-1) - ends) * (ends.sum(-1, keepdim=True) == 2)

    def logits(self, hidden: Float[Tensor, "row hidden"]) -> Float[Tensor, "row choice"]:
        """Logits over the vocabulary or the classes, float32.

        Raises:
            UserError: an encoder alone predicts nothing.
        """
        if self.kind == "encoder":
            raise UserError(
                f"{self.title} is an encoder alone and predicts nothing: its neurons can be read "
                "and labelled, not attributed."
            )
        head = self.family.language_head
        if self.kind == "classifier":
            head = self.family.classifier_head
        return head(self.hf, hidden).float()

    @property
    def multi_label(self) -> bool:
        """Whether each class of a classifier holds or not, whatever the others do."""
        problem = getattr(self.hf.config, "problem_type", None)
        return self.kind == "classifier" and problem == "multi_label_classification"

    def log_probabilities(
        self, logits: Float[Tensor, "*row choice"]
    ) -> Float[Tensor, "*row choice"]:
        """Natural logarithms of the probabilities that logits stand for."""
        if self.multi_label:
            return torch.nn.functional.logsigmoid(logits)
        return logits.log_softmax(-1)

    def probabilities(self, logits: Float[Tensor, "*row choice"]) -> Float[Tensor, "*row choice"]:
        """Probabilities, 0 to 1: over all choices together, or of each class by itself."""
        return logits.sigmoid() if self.multi_label else logits.softmax(-1)

    def read(
        self,
        encoded: Encoded,
        components: Iterable[Component] = COMPONENTS,
    ) -> dict[tuple[int, Component], Neurons]:
        """The neurons of the components in every layer that has them, each (1, token, neuron).

        The tokens are those of ``tokens_at``.
        """
        seen: dict[tuple[int, Component], Neurons] = {}

        def keep(at: tuple[int, Component]) -> Edit:
            def function(neurons: Neurons) -> Neurons:
                seen[at] = neurons.clone()  # some models clip them in place afterwards
                return neurons

            return function

        places = self.places(components)
        with self.lock, torch.no_grad(), self.edit({at: keep(at) for at in places}):
            self.hidden(encoded.input_ids, encoded.position, encoded.prefix)
        return seen

    def block(self, layer: int) -> nn.Module:
        """One transformer block."""
        return self.blocks[layer]

    def output_bias(self, layer: int, sublayer: Sublayer) -> Float[Tensor, " hidden"] | None:
        """What attention or FFN of a layer adds whatever its neurons do."""
        if sublayer == "ffn":
            return getattr(self.site(layer, "ffn").module, "bias", None)
        return getattr(self.family.attention_output(self.blocks[layer]), "bias", None)

    def subkeys(
        self, layer: int, sublayer: Sublayer, neurons: list[int]
    ) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """What each attention or FFN neuron looks for in the stream it reads.

        The rows of the projection that its coefficient comes from, times the weight of the block's
        own norm; neither centred nor scaled nor shifted (arXiv 2312.12141). By name: "value" for
        attention; "gate" and "up" or "input" for the FFN.
        """
        block = self.blocks[layer]
        norm = self.family.input_norms(block)[SUBLAYERS.index(sublayer)]
        scale = 1.0 if norm is None else self.family.norm_scale(norm)
        keys = self.family.subkeys(block, sublayer, self.ids(neurons))
        return {name: rows.float() * scale for name, rows in keys.items()}

    def read_state(self, layer: int, sublayer: Sublayer) -> int:
        """The state of the stream (see ``Stream.states``) that attention or FFN reads."""
        after_attention = sublayer == "ffn" and not self.family.parallel(self.blocks[layer])
        return 2 * layer + int(after_attention)
