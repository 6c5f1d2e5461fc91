"""Why a model cannot be loaded: one sentence each, that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from neuronlab.errors import UserError
from neuronlab.models import folders
from neuronlab.models.catalogue import EMBEDDED, entry
from neuronlab.models.faults import Fault, fault_in
from neuronlab.models.footprint import types


def check_configuration(name: str, source: Path, config: Any) -> None:
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


@dataclass(frozen=True)
class _Failure:
    """What is known of a model that could not be loaded.

    Attributes:
        error: its words.
        local: whether the model is a folder of this machine.
        files: the names of those in the folder.
        fault: what is wrong with the folder, if it is one and that is found.
        listed: whether the catalogue has the model.
        reached: whether the hub answered.
    """

    error: str
    local: bool
    files: frozenset[str]
    fault: Fault | None
    listed: bool
    reached: bool


# What transformers advises and does not help here: its version is pinned, tokenizers are files.
_ADVICE = ("pip install", "sentencepiece or tiktoken")
# What is to be done where this holds, of the first that does.
_SENTENCES: tuple[tuple[Callable[[_Failure], bool], str], ...] = (
    (
        lambda failure: "trust_remote_code" in failure.error,
        "'{name}' wants to run program code of its own, which is never done here: take a model of "
        "a type that transformers knows.",
    ),
    (
        lambda failure: (
            "tokenizer.model" in failure.files and "tokenizer.json" not in failure.files
        ),
        "The tokenizer of '{name}' is there as tokenizer.model alone: save it as tokenizer.json "
        "first (transformers: AutoTokenizer and save_pretrained, where sentencepiece is "
        "installed).",
    ),
    (
        lambda failure: failure.local and failure.listed,
        "The folder of '{name}' cannot be loaded: fetch the model again.",
    ),
    (
        lambda failure: "does not recognize this architecture" in failure.error,
        "'{name}' is of a type that transformers {version} does not know: docs/guide.md has the "
        "types that are supported.",
    ),
    (
        lambda failure: failure.fault is not None,
        "The folder of '{name}' cannot be loaded, since {fault.what}: {fault.remedy}.",
    ),
    (
        lambda failure: failure.local,
        "The folder of '{name}' cannot be loaded: check its files.",
    ),
    (
        lambda failure: not failure.reached,
        "The model hub is out of reach and '{name}' is not on this machine; these work without it: "
        "{embedded}.",
    ),
    (
        lambda failure: "gated" in failure.error.lower(),
        "'{name}' is gated: accept its terms on the hub, then log in with `hf auth login`.",
    ),
    (
        lambda failure: True,
        "There is no model '{name}' that can be loaded: give a catalogue name ({embedded}), a hub "
        "id such as 'gpt2', a folder or a GGUF file.",
    ),
)


def unavailable(name: str, source: str, error: Exception, *, reached: bool = False) -> UserError:
    """The sentence for a model that could not be loaded, to be raised; the cause in its details.

    Args:
        source: its folder, or its id on the hub.
        reached: whether the hub answered.
    """
    folder = Path(source)
    local, there = folder.is_absolute(), folder.is_absolute() and folder.is_dir()
    files = frozenset(file.name for file in folder.iterdir()) if there else frozenset()
    fault = fault_in(folder, error) if there else None
    failure = _Failure(str(error), local, files, fault, entry(name) is not None, reached)
    sentence = next(words for holds, words in _SENTENCES if holds(failure))
    embedded = ", ".join(listed.name for listed in EMBEDDED)
    # Where folders are limited, this would tell one that is there from one that is not.
    hidden = folders.limited() and not local
    advised = any(words in str(error) for words in _ADVICE)
    details = "" if hidden or advised else f"{type(error).__name__}: {error}"
    words = {"name": name, "embedded": embedded, "fault": fault, "version": version("transformers")}
    return UserError(sentence.format(**words), details=details)


def _whole_numbers(file: Path) -> bool:
    """Whether a file holds weights that are no floating-point numbers; its header tells."""
    weights = (each for name, each in types(file).items() if name.endswith(".weight"))
    return not all(each.startswith(("F", "BF")) for each in weights)
