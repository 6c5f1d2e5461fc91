"""What a model predicts and what it reads, where no catalogue says so; and whether it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from neuronlab.errors import UserError
from neuronlab.models.entries import Alphabet, Kind
from neuronlab.models.model import Model
from neuronlab.models.residues import AMINO_ACIDS

_HEADS: dict[str, Kind] = {
    "ForSequenceClassification": "classifier",
    "ForMaskedLM": "masked",
    "ForPreTraining": "masked",  # BERT's, with a second head beside it that nobody asks
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
    "ForConditionalGeneration": "seq2seq",
    "EncoderModel": "encoder",
}
# It has the ending of those that fill in, and tells which tokens were replaced.
_DISCRIMINATOR = "ElectraForPreTraining"


def kind_of(name: str, config: Any, architectures: Sequence[str] = ()) -> Kind:
    """What a model predicts, by the names of its classes; those of its configuration, if none.

    Raises:
        UserError: nothing that can be explained.
    """
    for architecture in architectures or config.architectures or ():
        for ending, kind in _HEADS.items():
            if not str(architecture).endswith(ending):
                continue
            if architecture == _DISCRIMINATOR:
                raise UserError(
                    f"'{name}' tells which tokens were replaced (ELECTRA's discriminator) and "
                    "predicts none: take the generator, which fills in."
                )
            if kind == "classifier":
                _require_classes(name, config)
            return kind
    raise UserError(
        f"'{name}' has no head to explain: it must predict the next token, a masked token "
        "or a class of a sequence."
    )


def _require_classes(name: str, config: Any) -> None:
    """Raise UserError where the head's numbers are no classes."""
    numbers = "one number" if config.num_labels == 1 else f"{config.num_labels} numbers"
    if config.num_labels == 1 or getattr(config, "problem_type", None) == "regression":
        raise UserError(
            f"'{name}' puts out {numbers} (a regression or a ranking), not classes: choose a "
            "classifier with at least two."
        )


def alphabet_of(tokenizer: Any, kind: Kind) -> Alphabet:
    """Protein models have a vocabulary of little more than the residues, sentinels left out.

    What an encoder-decoder is asked is a text in any case: of its proteins the encoder is read.
    """
    pieces = {piece.removeprefix("▁") for piece in tokenizer.get_vocab()}
    few = len([piece for piece in pieces if not piece.startswith("<extra_id_")]) < 64
    return "protein" if few and set(AMINO_ACIDS) <= pieces and kind != "seq2seq" else "text"


@torch.no_grad()
def tried(model: Model) -> None:
    """One small pass, so that what cannot run is said now; ValueError where a part is missing."""
    if model.kind == "classifier":
        model.labels  # noqa: B018 (a KeyError where one has no name)
    if model.kind == "masked" and model.tokenizer.mask_token_id is None:
        raise ValueError("The tokenizer has no mask token.")
    if model.kind == "seq2seq" and model.decoder_start is None:
        raise ValueError("The configuration names no decoder_start_token_id.")
    tokens = model.ids([[i % model.embeddings for i in range(3)]])
    decodes = model.kind == "seq2seq"
    prefix = model.ids([[model.decoder_start]]) if decodes else None
    with model.lock:
        hidden = model.hidden(tokens, 3 if decodes else 0, prefix)
        if model.kind != "encoder":
            model.logits(hidden)
