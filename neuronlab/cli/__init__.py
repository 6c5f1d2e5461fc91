"""The command line: `python -m neuronlab COMMAND`, and the commands that pages offer to copy."""

from neuronlab.cli.main import main
from neuronlab.cli.same_call import attribute_command, attribute_python

__all__ = ["attribute_command", "attribute_python", "main"]
