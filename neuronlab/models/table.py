"""The models there are, as a table."""

from __future__ import annotations

import pandas as pd

from neuronlab.models import weights
from neuronlab.models.catalogue import available

_COLUMNS = ("name", "title", "what", "kind", "alphabet", "parameters", "licence", "source")


def table() -> pd.DataFrame:
    """One row per model of the catalogue, those first that need no hub.

    Columns name, title, what, kind, alphabet, parameters, licence, source (of the weights), and
    installed: whether they are on this machine, not counting what the hub keeps in its own cache.
    """
    return pd.DataFrame(
        [
            {column: getattr(model, column) for column in _COLUMNS}
            | {"installed": weights.installed(model.name) if model.embedded else model.tuned != ""}
            for model in available()
        ]
    )
