"""The kinds of neurons.

Four by default. An attention neuron is a (head, dimension) of what the attention weights mixed,
before the output projection: the values of all positions in one number (arXiv 2312.12141).
"""

from typing import Literal, get_args

Component = Literal["query", "key", "value", "ffn", "attention"]
ALL_COMPONENTS: tuple[Component, ...] = get_args(Component)
COMPONENTS: tuple[Component, ...] = ALL_COMPONENTS[:4]
