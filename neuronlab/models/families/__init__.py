"""One adapter file per architecture family; that a file here defines a family registers it."""

from neuronlab.discovery import classes
from neuronlab.errors import UserError
from neuronlab.models.families.base import Family, Site


def defined() -> list[Family]:
    """The families that the files of this folder define; what several share has no model types."""
    families = classes(__name__, __path__, Family)  # type: ignore[type-abstract]  # none is made of it
    return [family() for family in families if hasattr(family, "model_types")]


FAMILIES: tuple[Family, ...] = tuple(defined())


def family_of(model_type: str) -> Family:
    """The adapter for a transformers ``model_type``.

    Raises:
        UserError: no adapter; the sentence lists the families there are.
    """
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    titles = ", ".join(family.title for family in FAMILIES)
    raise UserError(f"Models of the type '{model_type}' are not supported; these are: {titles}.")


__all__ = ["FAMILIES", "Family", "Site", "family_of"]
