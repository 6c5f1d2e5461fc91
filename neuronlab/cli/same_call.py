"""What a page shows as "Copy as command" and "Copy as Python": the call that gives its result."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuronlab.studies import AttributionSpec

_SETTINGS = ("components", "objective", "positions", "baseline", "engine", "tolerance", "seed")


def attribute_command(spec: AttributionSpec) -> str:
    """The command that computes `spec`, quoted for a POSIX shell."""
    options: list[tuple[str, Any]] = [("model", spec.model)]
    if isinstance(spec.target, int):
        options.append(("target-id", spec.target))
    elif spec.target is not None:
        options.append(("target", spec.target))
    if spec.mask is not None:
        options.append(("mask", spec.mask))
    options.append(("method", spec.method))
    options += _other_than_default(spec).items()
    words = ["python", "-m", "neuronlab", "attribute"]
    for name, value in options:
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        # A value that begins with a dash would pass for an option of its own.
        words += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    words += ["--", spec.text] if spec.text.startswith("-") else [spec.text]
    return shlex.join(words)


def attribute_python(spec: AttributionSpec) -> str:
    """The Python code that computes the scores of `spec`, in `scores`."""
    prompt = [repr(spec.text)]
    prompt += [
        f"{name}={value!r}"
        for name, value in (("mask", spec.mask), ("target", spec.target))
        if value is not None
    ]
    settings = {"method": spec.method, **_other_than_default(spec)}
    arguments = ["model", "prompt", *(f"{name}={value!r}" for name, value in settings.items())]
    return (
        "import neuronlab as nl\n\n"
        f"model = nl.load({spec.model!r})\n"
        f"prompt = nl.Prompt({', '.join(prompt)})\n"
        f"scores = nl.attribute({', '.join(arguments)})\n"
        "print(scores.top(10))\n"
    )


def _other_than_default(spec: AttributionSpec) -> dict[str, Any]:
    fields = type(spec).model_fields
    return {
        name: value for name in _SETTINGS if (value := getattr(spec, name)) != fields[name].default
    }
