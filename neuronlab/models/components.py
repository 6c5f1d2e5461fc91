"""The four kinds of neurons."""

from typing import Literal, get_args

Component = Literal["query", "key", "value", "ffn"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
