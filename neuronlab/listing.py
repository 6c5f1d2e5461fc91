"""Packages that list what they hold when they are called: ``nl.models()`` and ``nl.studies()``."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class Listing(ModuleType):
    """The class of such a package; its function ``table`` makes the list.

    Importing a package puts it under its name into the one above, where a function of that name
    would be gone: the package itself has to be what is called.
    """

    def __call__(self) -> pd.DataFrame:
        """What the package holds, a row each."""
        return self.table()
