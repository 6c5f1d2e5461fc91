"""What a masked protein model says of every substitution of every residue."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float32

from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt
from neuronlab.models.residues import AMINO_ACIDS, clean_sequence
from neuronlab.progress import Progress, unheard
from neuronlab.proteins.hidden import hidden_alone, none_hidden


def mutation_map(
    model: Model, sequence: str, *, hidden: bool = True, progress: Progress = unheard
) -> Float32[np.ndarray, "residue 20"]:
    """Log-odds of every residue against the wild type, each position hidden in turn.

    log p(mutant) - log p(wild type), natural logarithms, with the position masked and the others as
    they are (the masked marginals of Meier et al. 2021): one row of the model per position.

    Args:
        sequence: one-letter codes of the 20 amino acids; white space and lower case are accepted.
        hidden: if False, nothing is masked (their wild-type marginals): a single row, in which the
            wild type speaks for itself.
        progress: called before every batch with a fraction and a message; an exception it raises
            ends the work.

    Returns:
        Columns in the order of ``AMINO_ACIDS``; 0 for the wild type itself.

    Raises:
        UserError: the model fills in no residues, or the sequence does not fit it.
    """
    if model.kind != "masked" or model.alphabet != "protein":
        raise UserError(
            f"{model.title} fills in no residues: choose a masked protein model for mutations."
        )
    sequence = clean_sequence(sequence)
    model.encode(Prompt(sequence, mask=0))  # refuses what is too long
    letters = model.ids(model.tokenizer.convert_tokens_to_ids(list(AMINO_ACIDS)))
    wild = model.ids([AMINO_ACIDS.index(residue) for residue in sequence])
    if hidden:
        scores = hidden_alone(model, sequence, range(len(sequence)), progress)
    else:
        scores = none_hidden(model, sequence)
    scores = scores[:, letters]
    return (scores - scores.gather(1, wild[:, None])).numpy(force=True)


def mutation_table(sequence: str, log_odds: Float32[np.ndarray, "residue 20"]) -> pd.DataFrame:
    """Every substitution, the most preferred first.

    Returns:
        Columns position (from 1), wild_type, mutant, log_odds; the wild types themselves are left
        out.
    """
    table = pd.DataFrame(
        {
            "position": np.repeat(np.arange(1, len(sequence) + 1), len(AMINO_ACIDS)),
            "wild_type": np.repeat(list(sequence), len(AMINO_ACIDS)),
            "mutant": list(AMINO_ACIDS) * len(sequence),
            "log_odds": log_odds.ravel(),
        }
    )
    table = table[table["wild_type"] != table["mutant"]]
    return table.sort_values("log_odds", ascending=False, ignore_index=True)
