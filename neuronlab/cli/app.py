"""`app`: the dashboard in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuronlab.errors import UserError

PACKAGE = Path(__file__).parents[1]


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "app",
        help="open the dashboard",
        description="Serve the dashboard, on this machine only unless told otherwise, and open it "
        "in a browser. There is no log-in.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help="default: the first free one from 8501"
    )
    parser.add_argument(
        "--address", metavar="A", help="where to listen (default: localhost; 0.0.0.0: everywhere)"
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="what other machines call this one, and the only name that is answered then; without "
        "it this machine's own names are; may be repeated",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Serve until Ctrl-C, then end the process.

    Raises:
        UserError: this machine cannot listen there.
    """
    # The only place outside of the app that knows Streamlit, which takes a second to import.
    from streamlit.web.cli import main

    options = [("port", args.port), ("address", args.address)]
    options += [("allowedHosts", name) for name in args.host]
    given = [f"--server.{name}={value}" for name, value in options if value is not None]
    if args.host:  # else the addresses that are printed, and opened, are of names not answered to
        given.append(f"--browser.serverAddress={args.host[0]}")
    try:
        main(["run", str(script()), *given])
    except OSError as error:  # no such address, or not this machine's
        at = " ".join(given) or "the default address"
        raise UserError(f"The dashboard cannot be served at {at}: {error}.") from error


def script(package: Path = PACKAGE) -> Path:
    """The file that Streamlit runs: in an installed package within it, in a checkout beside it."""
    installed = package / "_app" / "app.py"
    return installed if installed.exists() else package.with_name("app.py")


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is no port: 1 to 65535")
    return port
