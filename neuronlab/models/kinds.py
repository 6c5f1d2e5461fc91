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
    "MTModel": "seq2seq",  # of translation
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
    """One small pass, so that what cannot run is said now.

    Raises:
        UserError: it cannot, or something is not there that asking it takes.
    """
    if model.kind == "classifier":
        names = getattr(model.hf.config, "id2label", None) or {}
        if {*names} != {*range(model.hf.config.num_labels)}:
            raise UserError(
                f"The configuration of '{model.name}' does not name all of its classes: write "
                "their names into it, as id2label, counted from 0."
            )
    if model.kind == "masked" and model.tokenizer.mask_token_id is None:
        raise UserError(
            f"The tokenizer of '{model.name}' has no mask token: take the one of these weights."
        )
    if model.kind == "seq2seq" and model.decoder_start is None:
        raise UserError(
            f"The configuration of '{model.name}' does not say what its decoder begins with: write "
            "the token's number into it, as decoder_start_token_id."
        )
    tokens = model.ids([[i % model.embeddings for i in range(3)]])
    decodes = model.kind == "seq2seq"
    prefix = model.ids([[model.decoder_start]]) if decodes else None
    try:
        with model.lock:
            hidden = model.hidden(tokens, 3 if decodes else 0, prefix)
            if model.kind != "encoder":
                model.logits(hidden)
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # settings of all kinds end in errors of all kinds
        raise UserError(
            f"'{model.name}' cannot be run: take weights and settings of the same model.",
            details=f"{type(error).__name__}: {error}",
        ) from error
