"""`models` and `fetch`: which models there are, and getting the embedded ones."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from neuronlab.cli.terminal import ProgressLine, table
from neuronlab.errors import UserError
from neuronlab.models import weights
from neuronlab.models.catalogue import TOOLS, available, entry
from neuronlab.models.entries import Entry

HEADER = ("name", "kind", "parameters", "download MB", "licence", "source", "installed")


def add(commands: argparse._SubParsersAction) -> None:
    """Add both commands to the parser."""
    models = commands.add_parser("models", help="list the models", allow_abbrev=False)
    models.add_argument("--json", action="store_true", help="as JSON")
    models.set_defaults(run=list_models)
    fetching = commands.add_parser(
        "fetch", help="download embedded models and convert them, once", allow_abbrev=False
    )
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a name that `models` lists")
    fetching.add_argument(
        "--accept-terms", action="store_true", help="accept the terms of the models named"
    )
    fetching.set_defaults(run=fetch_models)


def list_models(args: argparse.Namespace) -> None:
    """Print the catalogue, and the models that the app itself works with."""
    listed = [*available(), *TOOLS]
    if args.json:
        print(json.dumps([_facts(model) for model in listed], indent=2))
        return
    rows = [
        (
            model.name,
            f"{model.kind} {model.alphabet}",
            _short(model.parameters),
            round(model.download_bytes / 1e6),
            model.licence,
            model.source,
            _installed(model),
        )
        for model in listed
    ]
    print(table(HEADER, rows))


def fetch_models(args: argparse.Namespace) -> None:
    """Fetch every model named that is not in the cache yet."""
    models = [_embedded(name) for name in args.names]
    for model in models:
        fetch(model, accept_terms=args.accept_terms)


def fetch(model: Entry, *, accept_terms: bool = False) -> None:
    """Fetch one embedded model with a progress line, and say where it is.

    Raises:
        UserError: it cannot be fetched, or its terms (which are printed) are not accepted.
    """
    there = weights.installed(model.name) and not weights.check(model.name)
    if model.terms and not there:
        print(model.terms, flush=True)
    with ProgressLine() as progress:
        try:
            path = weights.fetch(model.name, progress=progress, accept_terms=accept_terms)
        except weights.TermsNotAccepted:
            raise UserError(
                f"{model.name} is fetched only after you accept its terms: "
                f"run python -m neuronlab fetch {model.name} --accept-terms"
            ) from None
    print(f"{model.name} is {'already ' if there else ''}in {path}", flush=True)


def accepted_by_environment(model: Entry) -> bool:
    """Whether the environment variable for that names the model."""
    names = os.environ.get(weights.ACCEPT_VARIABLE, "").split(",")
    return model.name in (name.strip() for name in names)


def _embedded(name: str) -> Entry:
    model = entry(name)
    if model is None:
        raise UserError(f"There is no model '{name}': python -m neuronlab models lists them.")
    if not model.embedded:
        raise UserError(f"'{name}' is a hub model: it is downloaded when it is first used.")
    return model


def _installed(model: Entry) -> str:
    if not model.embedded:
        return "from the hub"
    return "yes" if weights.installed(model.name) else "no"


def _facts(model: Entry) -> dict[str, Any]:
    fields = ("name", "title", "what", "kind", "alphabet", "family", "parameters")
    facts = model.model_dump(include={*fields, "download_bytes", "licence", "licence_url"})
    # A hub model's files are in the hub's own cache: nothing is known of them here.
    installed = weights.installed(model.name) if model.embedded else None
    return facts | {"source": model.source, "revision": model.revision, "installed": installed}


def _short(count: int) -> str:
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"
