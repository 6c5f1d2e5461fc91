"""Cloze questions about facts: sets, uploads, what a model knows, telling true answers."""

from neuronlab.facts.fact import Fact
from neuronlab.facts.readers import MAX_BYTES, Contents, Facts, list_facts, read_facts
from neuronlab.facts.rows import MAX_FACTS
from neuronlab.facts.sets import SETS, FactSet
from neuronlab.models import MASK

__all__ = [
    "MASK",
    "MAX_BYTES",
    "MAX_FACTS",
    "SETS",
    "Contents",
    "Fact",
    "FactSet",
    "Facts",
    "list_facts",
    "read_facts",
]
