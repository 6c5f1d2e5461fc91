"""The type checker of the tests: jaxtyping's shapes and beartype, in the first calls of each test.

To check every call took more than half of the suite's time; a wrong type is seen in the first ones.
"""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from collections.abc import Callable
from functools import wraps
from types import CodeType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

# As PEP 484 has it, an int will do for a float.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
# Calls of a function that are checked in a test. Of those that are defined anew whenever another is
# called, such as hooks, the first of all tests are: to decorate them takes longer than most tests.
CALLS = 3
calls: Counter[CodeType] = Counter()
_nested: Counter[CodeType] = Counter()
_jaxtyped = jaxtyping.jaxtyped


# Python keeps what it compiled of a library, but not where a checked module is the first to import
# it: the hook's files are looked for instead, and thousands of modules are compiled at every start.
_LIBRARIES = ("pandas", "scipy.stats", "transformers.modeling_utils")


def install() -> None:
    """Check the package's types from its first import on."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    jaxtyping.jaxtyped = _first_calls
    jaxtyping.install_import_hook("neuronlab", "typechecked.check")


def _first_calls(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """In the place of the decorator that the hook puts on every function and class."""
    checking = _jaxtyped(typechecker=typechecker)

    def decorate(thing: Any) -> Any:
        if not inspect.isfunction(thing):
            return checking(thing)
        code, checked = thing.__code__, None
        counter = _nested if "<locals>" in thing.__qualname__ else calls

        @wraps(thing)
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal checked
            counter[code] += 1
            if counter[code] > CALLS:
                return thing(*arguments, **keywords)
            checked = checked or checking(thing)
            return checked(*arguments, **keywords)

        return call

    return decorate
