"""`study`: run an experiment and write its result into a folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuronlab.cli.computing import compute
from neuronlab.cli.terminal import check_path
from neuronlab.computing import study_named, with_revision
from neuronlab.errors import UserError

if TYPE_CHECKING:
    from neuronlab.runs import Result, Spec


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "study", help="run an experiment and keep its tables and files", allow_abbrev=False
    )
    parser.add_argument("name", metavar="NAME", help="the study, for example attribution")
    parser.add_argument(
        "spec", type=Path, nargs="?", metavar="spec.json", help="the question (default: its own)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="receives spec.json, result.json (headline numbers), tables and files",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps (default: auto)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compute the study unless it is stored, print its headline numbers and fill the folder."""
    study = study_named(args.name)
    spec = _read(args.spec, args.name) if args.spec else study.default()
    spec = with_revision(spec, args.device)
    _check_out(args.out, spec)
    result = compute(spec, args.device)
    _write(args.out, spec, result)
    print(study.title)
    for name, value in _numbers(result.numbers):
        print(f"  {name}: {value:.6g}")
    print(f"The result is in {args.out}")


def _numbers(numbers: dict[str, Any], under: str = "") -> Iterator[tuple[str, float]]:
    """All numbers, those inside others by their path."""
    for name, value in numbers.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{under}{name}.")
        elif isinstance(value, int | float):
            yield f"{under}{name}", value


def _read(path: Path, name: str) -> Spec:
    from neuronlab.runs import read_spec
    from neuronlab.studies import STUDIES

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"The spec '{path}' cannot be read: {reason}.") from error
    specs = {key: study.spec_type for key, study in STUDIES.items()}
    try:
        spec = read_spec(_naming(name, text), specs)
    except ValueError as error:
        raise UserError(f"'{path}' is no spec that can be computed: {error}") from error
    if spec.study != name:
        raise UserError(f"'{path}' is a spec of the study '{spec.study}', not of '{name}'.")
    return spec


def _naming(name: str, text: str) -> str:
    """The spec's text with its study, which the command names already."""
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps({"study": name, **fields}) if isinstance(fields, dict) else text


def _check_out(folder: Path, spec: Spec) -> None:
    """Two results in one folder could not be told apart: refuse one that holds another's."""
    from neuronlab.runs import read_spec

    check_path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file: give a folder with --out.")
    if not any((folder / name).exists() for name in ("spec.json", "result.json")):
        return
    try:
        there = read_spec((folder / "spec.json").read_text("utf-8"), {spec.study: type(spec)})
        same = there.model_copy(update=_revision(spec)).key == spec.key
    except (OSError, ValueError, UserError):
        same = False
    if not same:
        raise UserError(f"The folder '{folder}' holds another spec or result: choose a new one.")


def _revision(spec: Spec) -> dict[str, str]:
    return {"revision": spec.revision} if hasattr(spec, "revision") else {}


def _write(folder: Path, spec: Spec, result: Result) -> None:
    try:
        result.save(folder, {"spec.json": spec.to_json() + "\n"})
    except OSError as error:
        raise UserError(f"'{folder}' cannot be written: {error.strerror or error}.") from error
