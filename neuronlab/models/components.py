"""The kinds of neurons.

Four by default. A decoder that reads what an encoder made of the text has three more in each
layer: query, key and value of its cross-attention. An attention neuron is a (head, dimension) of
what the attention weights mixed, before the output projection: the values of all positions in one
number (arXiv 2312.12141). A residual unit is a dimension of a layer's output: what the labels of
arXiv 2507.06458 are for. It can be read, labelled and changed; it is not attributed, since every
layer carries it on.
"""

from typing import Literal, get_args

Component = Literal[
    "query",
    "key",
    "value",
    "ffn",
    "cross_query",
    "cross_key",
    "cross_value",
    "attention",
    "residual",
]
READABLE: tuple[Component, ...] = get_args(Component)
ALL_COMPONENTS: tuple[Component, ...] = READABLE[:-1]
COMPONENTS: tuple[Component, ...] = READABLE[:4]
CROSS: tuple[Component, ...] = READABLE[4:7]

# What of a block adds to the residual stream, the first before the other; pairs are in this order.
Sublayer = Literal["attention", "ffn"]
SUBLAYERS: tuple[Sublayer, ...] = get_args(Sublayer)
