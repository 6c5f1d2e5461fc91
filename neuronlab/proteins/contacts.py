"""Contacts between residues, as a model's own contact head predicts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

if TYPE_CHECKING:
    from neuronlab.models import Model


@torch.no_grad()
def predicted_contacts(model: Model, sequence: str) -> Float[np.ndarray, "residue residue"] | None:
    """Probability that two residues touch (Rao et al. 2020); None where there is no such head.

    Raises:
        UserError: the sequence does not fit the model.
    """
    from neuronlab.models.hooks import attention_by

    predict = model.family.contacts(model.hf)
    if predict is None:
        return None
    ids = model.ids([model.residue_ids(sequence)])
    # The head reads attention maps, which only the plain implementation gives.
    with model.lock, attention_by(model.hf, "eager"):
        return predict(ids)[0].float().numpy(force=True)
