"""Load a model by catalogue name, hub id or local folder; one way for all of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from neuronlab.cost import memory
from neuronlab.errors import UserError, memory_in_a_sentence
from neuronlab.models import folders, gguf_files, origin, tuned, weights
from neuronlab.models.catalogue import entry
from neuronlab.models.device import free_memory, resolve_device
from neuronlab.models.entries import Kind
from neuronlab.models.exclusion import making
from neuronlab.models.families import Family, check, family_of
from neuronlab.models.faults import UnfitError, some
from neuronlab.models.footprint import footprint
from neuronlab.models.hub import downloaded, hub_reachable
from neuronlab.models.in_memory import adopt
from neuronlab.models.kinds import alphabet_of, kind_of, tried
from neuronlab.models.lora import Lora, adapter_in, base_in
from neuronlab.models.model import Model
from neuronlab.models.refusals import check_configuration, unavailable
from neuronlab.models.wheels import FetchFailed

_HERE = {"local_files_only": True, "trust_remote_code": False}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What a forward and a backward pass need beside the weights, in bytes.
_HEADROOM = 1_000_000_000
# What the hub allows; anything else is a folder or a mistake.
_HUB_ID = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?", re.ASCII)
# Weights of blocks, but for what a block computes by itself, and what belongs to other weights.
_OF_THE_TRUNK = re.compile(
    r"\.(layers?|h|blocks?)\.\d+\.(?!.*(inv_freq|attn\.(masked_)?bias|position_ids)$)"
    r"|lora_|_scale$|qweight|qzeros"
)


@memory_in_a_sentence()
def load(name: Any, tokenizer: Any = None, *, device: str = "auto", dtype: str = "auto") -> Model:
    """Load a model of a supported family, frozen and in evaluation mode.

    Args:
        name: a catalogue name (fetched first if need be), a hub id, a folder or a GGUF file, also
            as a path of pathlib; or a
            transformers model that is in memory, which stays as it is, or a pipeline. A LoRA
            adapter, in a folder or in memory, is merged into its base.
        tokenizer: of a model that is in memory; a pipeline has its own.
        device: "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" is float32, or bfloat16 where float32 does not fit; or a type's name.

    Raises:
        UserError: unknown model, unsupported family, hub out of reach, damaged cache, too little
            memory, terms not accepted; one sentence each.
    """
    if isinstance(name, os.PathLike):
        name = os.fspath(name)
    if not isinstance(name, str):
        return adopt(name, tokenizer, device=device, dtype=dtype)
    if tokenizer is not None:
        raise UserError(
            f"{folders.shown(name)} is loaded with its own tokenizer: leave the other one out, or "
            "give both model and tokenizer as transformers has them in memory."
        )
    listed = entry(name)
    if listed and listed.kind == "tool":
        raise UserError(f"{listed.title} has no neurons to explain: choose another model.")
    source = _source(name)
    device = resolve_device(device)
    with _reading(name, source):
        adapter = adapter_in(name, source)
    given = cast(Kind, listed.kind) if listed else adapter.kind if adapter else None
    base = _Named(name, source) if adapter is None else _base(adapter)
    try:
        with _reading(*base):
            config, hf, family, kind = _read(base, given, device, dtype, adapter)
    except UserError as error:
        if adapter is None:
            raise
        raise _refused(adapter, error) from error
    beside = adapter is None or (Path(source) / "tokenizer_config.json").is_file()
    tokenizer = _tokenizer(_Named(name, source) if beside else base)
    with _reading(name, source):
        with making():
            if adapter is not None:
                adapter.merge(hf)
            family.fuse(hf)
        model = Model(
            hf.to(device),
            tokenizer,
            family,
            name=name,
            title=_title(name, adapter),
            kind=kind,
            alphabet=listed.alphabet if listed else alphabet_of(tokenizer, kind),
            revision=_revision(name, source, base.source, config),
            note=origin.merged_into(adapter.base) if adapter else origin.note(name),
        )
        tried(model)
    return model


class _Named(NamedTuple):
    """A model's name, and the folder to load it from or its id on the hub."""

    name: str
    source: str


@contextmanager
def _reading(name: str, source: str) -> Iterator[None]:
    """Files of all kinds of damage end in errors of all kinds: say whose in one sentence."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise unavailable(name, source, error) from error


def _title(name: str, adapter: Lora | None = None) -> str:
    listed = entry(name)
    title = listed.title if listed else Path(name).name
    return f"{title} (adapter merged into {_title(adapter.base)})" if adapter else title


def _source(name: str) -> str:
    """The folder to load from; where the hub is out of reach, the id of what its cache may have."""
    listed = entry(name)
    if listed and listed.embedded:
        if not weights.installed(name):
            weights.fetch(name)
        return str(weights.ready(name))
    if listed and listed.tuned:
        return str(tuned.folder(name))
    folder = folders.named(name)
    if folder is not None:
        return str(folder)
    file = gguf_files.named(name)
    if file is not None:
        return str(gguf_files.converted(file))
    if not _HUB_ID.fullmatch(name):
        which = " that this server opens" if folders.limited() else ""
        raise UserError(
            f"There is no model folder {folders.shown(name)}: give a catalogue name, a hub id such "
            f"as 'gpt2', or a folder or GGUF file{which}."
        )
    if folders.limited() and os.path.exists(name):
        # The hub's client would take it for a folder, too: it is as absent as any other name.
        raise unavailable(name, name, FileNotFoundError(), reached=hub_reachable())
    if not hub_reachable():
        return name
    try:
        return downloaded(name)
    except Exception as error:  # the hub's client has errors of several libraries
        raise unavailable(name, name, error, reached=True) from error


def _configuration(base: str, adapter: Lora | None) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(base, **_HERE)
    except Exception as error:  # of any kind, as in `_reading`
        if adapter is None or os.path.isdir(base):
            raise
        raise _without_base(adapter, f"{type(error).__name__}: {error}") from error


def _base(adapter: Lora) -> _Named:
    """An adapter's base, and where it is."""
    try:
        source = _source(adapter.base)
    except (FetchFailed, weights.TermsNotAccepted, weights.DamagedCache):
        raise
    except UserError as error:
        raise _without_base(adapter, str(error)) from error
    if os.path.isabs(source) and base_in(Path(source)):
        raise UserError(
            f"The base model of the adapter '{adapter.name}', '{adapter.base}', is an adapter, "
            "too: merge that into its own base first (peft: merge_and_unload), and write the "
            "folder of what comes out into adapter_config.json, as base_model_name_or_path."
        )
    return _Named(adapter.base, source)


class _WithoutBase(UserError):
    """An adapter's base is not on this machine."""


def _without_base(adapter: Lora, details: str) -> UserError:
    return _WithoutBase(
        f"The adapter '{adapter.name}' needs its base model, and '{adapter.base}' is not on this "
        "machine and cannot be fetched: write the folder where it is into adapter_config.json, as "
        "base_model_name_or_path.",
        details=details,
    )


def _refused(adapter: Lora, error: UserError) -> UserError:
    """What is said of an adapter's base, with the adapter's name."""
    if isinstance(error, _WithoutBase):
        return error
    sentence = str(error)
    return UserError(
        f"The adapter '{adapter.name}' needs its base model: {sentence[0].lower()}{sentence[1:]}",
        details=error.details,
    )


def _auto_class(kind: Kind) -> Any:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
        AutoModelForTextEncoding,
    )

    return {
        "causal": AutoModelForCausalLM,
        "masked": AutoModelForMaskedLM,
        "classifier": AutoModelForSequenceClassification,
        "seq2seq": AutoModelForSeq2SeqLM,
        "encoder": AutoModelForTextEncoding,
    }[kind]


def _read(
    base: _Named, given: Kind | None, device: str, dtype: str, adapter: Lora | None
) -> tuple[Any, Any, Family, Kind]:
    """Configuration, weights, family, and what is predicted; of an adapter its base's.

    Args:
        given: what is predicted, where that is known.
    """
    name, source = base
    config = _configuration(source, adapter)
    check_configuration(name, Path(source), config)
    family = family_of(config.model_type, lambda: _empty(config, given or kind_of(name, config)))
    kind = given or kind_of(name, config)
    empty = _empty(config, kind)
    check(family, name, empty, kind)
    classes = 0 if adapter is None else adapter.classes
    with making():
        hf, report = _auto_class(kind).from_pretrained(
            source,
            dtype=_fitting_dtype(name, source, empty, device, dtype),
            weights_only=True,
            output_loading_info=True,
            **({"num_labels": classes} if classes else {}),
            **_HERE,
        )
    # What the files lack is drawn at random, and would be explained as if it had been trained.
    missing = set(report["missing_keys"]) - (set() if adapter is None else adapter.whole.keys())
    if lacking := family.do_without(hf, missing):
        raise UnfitError(f"its weights lack {some(lacking)}")
    # A head that is not asked may be left over; a layer, an adapter or a scale may not.
    left = [name for name in report["unexpected_keys"] if _OF_THE_TRUNK.search(name)]
    if left:
        raise UnfitError(f"its weights hold more than its config.json says, {some(left)}")
    return config, hf, family, kind


def _tokenizer(model: _Named) -> Any:
    from transformers import AutoTokenizer

    with _reading(*model):
        return AutoTokenizer.from_pretrained(model.source, **_HERE)


def _empty(config: Any, kind: Kind) -> Any:
    """The model without weights."""
    with making(), torch.device("meta"):
        return _auto_class(kind).from_config(config, trust_remote_code=False)


def _fitting_dtype(name: str, source: str, empty: Any, device: str, dtype: str) -> torch.dtype:
    """The type to load in, checked against the free memory before any weight is read."""
    if dtype not in ("auto", *_DTYPES):
        raise UserError(f"There is no dtype '{dtype}'; choose one of {', '.join(_DTYPES)}.")
    free = free_memory(device)
    choices = ["float32", "bfloat16"] if dtype == "auto" else [dtype]
    taken = [footprint(empty, _DTYPES[choice], source) for choice in choices]
    for choice, takes in zip(choices, taken, strict=True):
        if takes.weights + _HEADROOM <= free:
            return _DTYPES[choice]
    least = taken[-1]
    smaller = footprint(empty, torch.bfloat16, source).weights + _HEADROOM
    fits = smaller <= free and dtype == "float32"
    raise UserError(
        f"'{name}' does not fit: it needs {memory(least.weights + _HEADROOM)} in {choices[-1]} and "
        f"{memory(free)} are free on {device}; "
        f"{f'load it in bfloat16, in {memory(smaller)}' if fits else 'choose a smaller model'}.",
        details=f"Its weights take {memory(least.weights)}, a forward and a backward pass up to "
        f"{memory(_HEADROOM)}; while they are loaded, {memory(least.peak)} are in use.",
    )


def _revision(name: str, source: str, base: str, config: Any) -> str:
    if base != source:  # an adapter and what it was merged into
        parts = _revision(name, source, source, None), _revision("", base, base, config)
        return "merged:" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    listed = entry(name)
    if listed and listed.revision:
        return listed.revision
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return commit
    if Path(source).parent.name == "snapshots":  # of the hub's cache, named by their commit
        return Path(source).name
    # A local folder: names, sizes and times of its files. Hashing gigabytes would take minutes.
    files = sorted(p for p in Path(source).iterdir() if p.is_file())
    facts = "\n".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files)
    return "files:" + hashlib.sha256(facts.encode()).hexdigest()[:16]
