"""Packages to which every file adds something: that it lies there registers it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from inspect import isclass
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def files(package: str, folders: Iterable[str]) -> list[ModuleType]:
    """Every file of a package, imported.

    Args:
        package: its name.
        folders: where it lies, which is its ``__path__``.
    """
    return [import_module(file.name) for file in iter_modules(folders, f"{package}.")]


def classes(package: str, folders: Iterable[str], base: type[T]) -> list[type[T]]:
    """The classes derived from ``base`` that the files of a package define, not those they import.

    See ``files`` for the arguments.
    """
    return [
        defined
        for file in files(package, folders)
        for defined in vars(file).values()
        if isclass(defined) and defined.__module__ == file.__name__ and issubclass(defined, base)
    ]
