"""One adapter file per architecture family."""

from neuronlab.errors import UserError
from neuronlab.models.families.base import Family, Site
from neuronlab.models.families.bert import Bert
from neuronlab.models.families.esm import Esm
from neuronlab.models.families.gemma3 import Gemma3
from neuronlab.models.families.gpt2 import GPT2
from neuronlab.models.families.gpt_neox import GPTNeoX
from neuronlab.models.families.llama import Llama
from neuronlab.models.families.roberta import Roberta

FAMILIES: tuple[Family, ...] = (Llama(), Gemma3(), GPT2(), GPTNeoX(), Bert(), Roberta(), Esm())


def family_of(model_type: str) -> Family:
    """The adapter for a transformers ``model_type``.

    Raises:
        UserError: no adapter; the sentence lists the families there are.
    """
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = ", ".join(family.title for family in FAMILIES)
    raise UserError(f"Models of the type '{model_type}' are not supported; these are: {known}.")


__all__ = ["FAMILIES", "Family", "Site", "family_of"]
