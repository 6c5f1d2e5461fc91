"""The parser, and what becomes of an error."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Sequence

from neuronlab import __version__
from neuronlab.cli import app, attribute, models, setup, study
from neuronlab.errors import UserError

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C has stopped


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it parses has `run`, the command's function."""
    top = argparse.ArgumentParser(
        prog="python -m neuronlab",
        description="Which neurons made the model say that?",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"NeuronLab {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in (app, models, attribute, study, setup):
        module.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 for an error a person can act on.

    A wrong option ends the process with 2, Ctrl-C gives 130.
    """
    args = parser().parse_args(arguments)
    try:
        args.run(args)
        sys.stdout.flush()
    except UserError as error:
        print(error, file=sys.stderr)
        if error.details:
            print(textwrap.indent(_brief(error.details), "  "), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `… | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _brief(details: str) -> str:
    """Details as they are; of a traceback, which may have lost its beginning, the error alone."""
    traced = re.search(r'^ *File ".*", line \d+', details, re.MULTILINE)
    return details.rstrip().rpartition("\n")[2] if traced else details
