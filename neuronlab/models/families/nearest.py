"""Which family a model of an unknown type is most like: what it lacks, and what it has beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from neuronlab.models.families.base import Family
from neuronlab.models.families.encoder_decoder import EncoderDecoder
from neuronlab.models.families.mixture import Mixture
from neuronlab.models.families.places import Places


def nearest(families: Iterable[Family], hf: Any) -> tuple[Family, bool] | None:
    """The family that a model shares most with, and whether it lacks no more parts than it has.

    Only families of its kind: with an encoder and a decoder or without, with experts or without;
    None where there are none. Of several that are equally near, the one that more types are like.

    Args:
        hf: the model; it needs no weights.
    """
    experts = any(".experts." in name for name, _ in hf.named_parameters())
    kind = bool(hf.config.is_encoder_decoder), experts
    near = []
    for family in families:
        of_kind = isinstance(family, EncoderDecoder), isinstance(family, Mixture)
        parts, lacking = _parts(family, hf)
        if of_kind == kind:
            beside, alike = _beside(family, hf), 2 * lacking <= parts
            order = (not alike, lacking + beside, beside, -len(family.model_types))
            near.append((order, (family, alike)))
    return min(near, key=lambda each: each[0])[1] if near else None


def _parts(family: Family, hf: Any) -> tuple[int, int]:
    """How many parts a family has, and how many of them a model lacks.

    Query, key and value are one of them, and so are gate and up.
    """
    missing = family.missing(hf)
    parts = [[missing[path] for path in part if path in missing] for part in _paths(family.places)]
    return sum(map(bool, parts)), sum(map(any, parts))


def _paths(places: Places) -> list[list[str]]:
    """Of each part."""
    values = [getattr(places, field.name) for field in dataclasses.fields(places)]
    values = [[*each.values()] if isinstance(each, Mapping) else each for each in values]
    values = [[each] if isinstance(each, str) else each for each in values if not callable(each)]
    return [[path for path in paths if path] for paths in values if paths]


def _beside(family: Family, hf: Any) -> int:
    """How many modules of the last block, and around all blocks, the family has no word for."""
    paths = [f"{p}." for paths in _paths(family.places) for path in paths for p in path.split("|")]
    blocks = family.blocks(hf)
    within = {id(weight) for block in blocks for weight in block.parameters()}
    around = [name for name, w in hf.base_model.named_parameters() if id(w) not in within]
    names = [*around, *(name for block in blocks[-1:] for name, _ in block.named_parameters())]
    modules = {f"{name.rpartition('.')[0]}." for name in names}
    return sum(
        not any(path.startswith(module) or module.startswith(path) for path in paths)
        for module in modules
    )
