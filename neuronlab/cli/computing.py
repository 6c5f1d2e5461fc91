"""From a spec to its result, with a line that says how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuronlab import computing
from neuronlab.cli.terminal import ProgressLine, quiet

if TYPE_CHECKING:
    from neuronlab.runs import Result, Spec


def compute(spec: Spec, device: str) -> Result:
    """The stored result of `spec`, or a new one; see ``neuronlab.computing.compute``."""
    from neuronlab.runs import Store

    quiet()
    with ProgressLine() as progress:
        try:
            return computing.compute(spec, device, progress)
        except KeyboardInterrupt:
            if Store().finished_shards(spec.key):
                print("\nThe finished parts are kept: the same command goes on from there.")
            raise
