"""One file per architecture family; that a file here says where its parts are registers it."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from neuronlab.discovery import files
from neuronlab.errors import UserError
from neuronlab.models.entries import Kind
from neuronlab.models.families.base import Family, Site
from neuronlab.models.families.nearest import nearest


def defined() -> list[Family]:
    """The families that the files of this folder define, by name."""
    families = {
        each.name: each
        for file in files(__name__, __path__)
        for each in vars(file).values()
        if isinstance(each, Family)
    }
    return [families[name] for name in sorted(families)]


_PREDICTED: dict[Kind, str] = {
    "causal": "the next token",
    "masked": "a masked token",
    "classifier": "a class",
    "seq2seq": "a decoder's next token",
}

FAMILIES: tuple[Family, ...] = tuple(defined())


def family_of(model_type: str, empty: Callable[[], Any] | None = None) -> Family:
    """The family of a transformers ``model_type``.

    Args:
        empty: makes a model of that type, which needs no weights; what it lacks is told.

    Raises:
        UserError: no family; the sentence says which parts of the nearest one are not there and,
            where that is near, which are; and the details what there is instead.
    """
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    hf = None
    if empty is not None:
        # A type without this head, or with settings that its own code does not take.
        with suppress(Exception):
            hf = empty()
    if hf is None:
        raise UserError(
            f"Models of the type '{model_type}' are not supported: docs/guide.md has the types "
            "that are.",
            details=_types(),
        )
    details = f"Its own parts are {_parts(hf)}.\n{_types()}"
    refused = f"Models of the type '{model_type}' are not supported"
    unlike = f"{refused}, and none of those that are (docs/guide.md) is built like it"
    near = nearest(FAMILIES, hf)
    if near is None:
        raise UserError(f"{unlike}.", details=details)
    like, alike = near
    parts = like.missing(hf)
    lacking, present = (
        _listed(path for path, missing in parts.items() if missing is asked)
        for asked in (True, False)
    )
    if not alike:
        raise UserError(
            f"{unlike}: of {like.title} these parts are missing: {lacking}.", details=details
        )
    comparison = (
        f"of which these parts are missing: {lacking}; and these are there: {present}."
        if lacking
        else f"all of whose parts are there: {present}; what differs is what it does with them."
    )
    raise UserError(f"{refused}; nearest is {like.title}, {comparison}", details=details)


def check(family: Family, name: str, hf: Any, kind: Kind) -> None:
    """Raise UserError where a model of the family has not all its parts, or an odd setting or head.

    Args:
        name: the model's, for the sentence.
        hf: the model; it needs no weights.
        kind: what it predicts.
    """
    if kind not in family.kinds:
        offered = " or ".join(_PREDICTED[each] for each in family.kinds if each in _PREDICTED)
        raise UserError(
            f"'{name}' predicts {_PREDICTED.get(kind, 'nothing')}, which is not offered for "
            f"{family.title}: take a model of this type that predicts {offered}."
        )
    if setting := family.unsupported(hf):
        raise UserError(
            f"'{name}' has a setting that is not supported for {family.title}: {setting}."
        )
    lacking = _listed(path for path, missing in family.missing(hf).items() if missing)
    if lacking:
        raise UserError(
            f"'{name}' is no usual {family.title} model: not every block has {lacking}.",
            details=f"Its own parts are {_parts(hf)}.",
        )


def _listed(paths: Iterable[str]) -> str:
    """Paths of parts, as a person reads them."""
    return ", ".join(paths).replace("|", " or ")


def _parts(hf: Any) -> str:
    """All modules with parameters, those of one block of many."""
    names = [name.removesuffix(".weight") for name, _ in hf.named_parameters()]
    return ", ".join(dict.fromkeys(re.sub(r"\.\d+\.", ".0.", name) for name in names))


def _types() -> str:
    return "These types are supported: " + ", ".join(
        sorted(model_type for family in FAMILIES for model_type in family.model_types)
    )


__all__ = ["FAMILIES", "Family", "Site", "check", "family_of"]
