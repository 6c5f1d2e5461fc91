"""One adapter file per architecture family; that a file here defines a family registers it."""

from collections.abc import Iterator
from importlib import import_module
from inspect import isclass
from pkgutil import iter_modules

from neuronlab.errors import UserError
from neuronlab.models.families.base import Family, Site


def defined() -> Iterator[Family]:
    """The families that the files of this folder define; what several share has no model types."""
    for file in iter_modules(__path__, f"{__name__}."):
        for one in vars(import_module(file.name)).values():
            mine = isclass(one) and one.__module__ == file.name
            if mine and issubclass(one, Family) and hasattr(one, "model_types"):
                yield one()


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
