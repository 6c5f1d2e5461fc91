"""What one neuron does on one prompt: where it fires, and what it says through the unembedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pandas as pd
import torch
from torch import Tensor

from neuronlab.models import Encoded, Model, Prompt
from neuronlab.models.components import Sublayer
from neuronlab.models.hooks import before
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons.neurons import Neuron


@dataclass(frozen=True)
class NeuronCard:
    """Facts about a neuron.

    Attributes:
        activations: one row per token: columns token, text, activation.
        promotes, suppresses: tokens whose logits rise or fall the most with the neuron's activity
            on this prompt: columns token, effect (change of the logit for the activation it has);
            of a protein model amino acids alone. Empty for query, key and value neurons, in an
            encoder, and for models without a language head.
        residues: proteins: mean activation by residue type; columns residue, count, activation.
        head, dimension: of a query, key, value or attention neuron; None for FFN.
        expert, unit: of an FFN neuron of a mixture of experts: the expert's number, or "shared",
            and the unit's in it; None for others.
    """

    neuron: Neuron
    activations: pd.DataFrame
    promotes: pd.DataFrame
    suppresses: pd.DataFrame
    residues: pd.DataFrame
    head: int | None = None
    dimension: int | None = None
    expert: str | None = None
    unit: int | None = None

    @property
    def place(self) -> str:
        """Which head and dimension, or which expert and unit, it is; or ""."""
        if self.head is not None:
            return f"head {self.head}, dimension {self.dimension}"
        if self.expert is None:
            return ""
        expert = "shared expert" if self.expert == "shared" else f"expert {self.expert}"
        return f"{expert}, unit {self.unit}"


def neuron_card(model: Model, prompt: Prompt, neuron: Neuron, *, count: int = 10) -> NeuronCard:
    """The card of a neuron on a prompt.

    Args:
        count: how many tokens to list each way.
    """
    encoded = model.encode(prompt)
    seen = model.read(encoded, (neuron.component,))[neuron.layer, neuron.component]
    activation = seen[0, :, neuron.index].float().cpu()
    there = model.tokens_at(encoded, (neuron.layer, neuron.component))
    tokens = pd.DataFrame(
        {
            "token": range(there.start, there.stop),
            "text": encoded.tokens[there],
            "activation": activation.tolist(),
        }
    )
    empty = pd.DataFrame(columns=["token", "effect"])
    promotes = suppresses = empty
    head = dimension = expert = unit = None
    if neuron.component in ("ffn", "attention") and _writes(model, neuron.layer):
        effect = _effect(model, encoded, neuron, float(activation[encoded.position - there.start]))
        promotes, suppresses = (_strongest(model, effect, count, sign) for sign in (1, -1))
    if neuron.component != "ffn":
        head, dimension = divmod(neuron.index, model.head_size)
    elif of_expert := model.family.expert_of(model.block(neuron.layer), neuron.index):
        expert, unit = of_expert
    residues = _by_residue(model, tokens)
    return NeuronCard(neuron, tokens, promotes, suppresses, residues, head, dimension, expert, unit)


def _writes(model: Model, layer: int) -> bool:
    """Whether a layer writes to the stream from which tokens are read: an encoder's do not."""
    return model.kind not in ("classifier", "encoder") and layer in [*model.stacks.values()][-1]


@torch.no_grad()
def _effect(model: Model, encoded: Encoded, neuron: Neuron, activation: float) -> Tensor:
    """Change of all logits along the neuron's direction, at the clean final state.

    The head's derivative there (norm included) times the neuron's share of the residual stream:
    what the neuron says directly, without the layers after it.
    """
    block = model.block(neuron.layer)
    vectors = model.family.directions(block, cast(Sublayer, neuron.component))
    vector = vectors[neuron.index]
    direction = vector.float() * activation
    norm = model.family.final_norm(model.hf)
    states: list[Tensor] = []
    first = model.tokens_at(encoded, (neuron.layer, neuron.component)).start

    def keep(hidden: Tensor) -> Tensor:
        states.append(hidden[:1, encoded.position - first])
        return hidden

    with model.lock:
        if norm is None:
            state = model.hidden(encoded.input_ids, encoded.position, encoded.prefix)
        else:
            with before({"norm": (norm, keep)}):
                model.hidden(encoded.input_ids, encoded.position, encoded.prefix)
            state = states[0]

    def logits(hidden: Tensor) -> Tensor:
        return model.logits(hidden if norm is None else norm(hidden))[0]

    direction = direction.to(state.dtype)[None]
    return torch.func.jvp(logits, (state,), (direction,))[1].float().cpu()


def _strongest(model: Model, effect: Tensor, count: int, sign: int) -> pd.DataFrame:
    """The tokens that rise (1) or fall (-1) the most; of a protein model amino acids."""
    tokens = torch.arange(len(effect), dtype=torch.long, device=effect.device)
    if model.alphabet == "protein":
        of = model.residue_tokens
        tokens = model.ids([of[letter] for letter in AMINO_ACIDS if letter in of])
    best = tokens[(sign * effect[tokens]).topk(min(count, len(tokens))).indices]
    return pd.DataFrame(
        {"token": [model.token(i) for i in best.tolist()], "effect": effect[best].tolist()}
    )


def _by_residue(model: Model, tokens: pd.DataFrame) -> pd.DataFrame:
    columns = ["residue", "count", "activation"]
    if model.alphabet != "protein":
        return pd.DataFrame(columns=columns)
    residues = tokens[tokens["text"].isin(list(model.residues))]
    table = residues.groupby("text")["activation"].agg(["size", "mean"]).reset_index()
    table.columns = columns
    return table.sort_values("activation", ascending=False, ignore_index=True)
