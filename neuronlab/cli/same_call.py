"""What a page shows as "Copy as command" and "Copy as Python": the call that gives its result."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuronlab.neurons import NeuronSet
    from neuronlab.runs import Spec
    from neuronlab.studies.attribution import AttributionSpec

_SETTINGS = (
    "components",
    "objective",
    "positions",
    "baseline",
    "engine",
    "tolerance",
    "seed",
    "variant",
)


def attribute_command(spec: AttributionSpec) -> str:
    """The command that computes `spec`, quoted for a POSIX shell."""
    if spec.specific:  # the study asks bystanders, too
        return study_command(spec)
    options: list[tuple[str, Any]] = [("model", spec.model)]
    for name, choice in (("target", spec.target), ("foil", spec.foil)):
        if choice is not None:
            options.append((f"{name}-id" if isinstance(choice, int) else name, choice))
    options += [
        (name, value)
        for name, value in (("mask", spec.mask), ("prefix", spec.prefix))
        if value is not None
    ]
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
    """The Python code that computes the scores of `spec`, in `scores`; or all of its result."""
    if spec.specific:
        return study_python(spec)
    prompt = [repr(spec.text)]
    prompt += [
        f"{name}={value!r}"
        for name in ("mask", "target", "foil", "prefix")
        if (value := getattr(spec, name)) is not None
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


def residues_python(
    model: str, sequence: str, target: int, method: str, neurons: NeuronSet | None
) -> str:
    """The Python code that computes what neurons contribute at each residue, in `residues`.

    Args:
        neurons: whose scores count; None counts all.
    """
    arguments = ["model", repr(sequence), f"target={target}"]
    if neurons is not None:
        arguments.append(f"neurons={neurons_python(neurons)}")
    return (
        "import neuronlab as nl\n"
        "from neuronlab.attribution import residue_scores\n\n"
        f"model = nl.load({model!r})\n"
        f"residues = residue_scores({', '.join(arguments)}, method={method!r})\n"
        "print(residues.probability, residues.scores)\n"
    )


def neurons_python(neurons: NeuronSet) -> str:
    """The Python expression that gives a set of neurons."""
    listed = ", ".join(f"({n.layer}, {n.component!r}, {n.index})" for n in neurons)
    return f"nl.NeuronSet([{listed}])"


def study_command(spec: Spec) -> str:
    """The commands that compute `spec` into a folder, quoted for a POSIX shell."""
    text = json.dumps(_chosen(spec), ensure_ascii=False)
    run = ["python", "-m", "neuronlab", "study", spec.study, "spec.json", "--out", "result"]
    return f"printf %s {shlex.quote(text)} > spec.json\n{shlex.join(run)}"


def study_python(spec: Spec) -> str:
    """The Python code that has the result of `spec` in `result`, stored or computed."""
    # One at the least: without any it would be the study's own first question.
    chosen = _chosen(spec) or spec.model_dump(mode="json", include={"model"})
    arguments = [repr(spec.study), *(f"{name}={value!r}" for name, value in chosen.items())]
    return (
        "import neuronlab as nl\n\n"
        f"result = nl.run({', '.join(arguments)})\n"
        "print(result.numbers)\n"
    )


def _chosen(spec: Spec) -> dict[str, Any]:
    """What the spec says beside its defaults; the revision is found again."""
    return spec.model_dump(mode="json", exclude_defaults=True, exclude={"revision"})


def _other_than_default(spec: AttributionSpec) -> dict[str, Any]:
    """Settings; components in any case, whose default is not the same for every model."""
    fields = type(spec).model_fields
    return {
        name: value
        for name in _SETTINGS
        if (value := getattr(spec, name)) != fields[name].default or name == "components"
    }
