"""The context in which a study computes on a model of the test, and a run in it."""

from math import inf
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from neuronlab.runs import Context, Preview, Result, Spec, Store, run_study, running
from neuronlab.studies import STUDIES


def context_with(model, device="cpu", **options):
    """Whatever name a study asks for, it gets this model; of a dictionary the one of that name."""

    def load(name, device, revision):
        return model[name] if isinstance(model, dict) else model

    return Context(device, load=load, **options)


def run(model, spec: Spec, folder, **options) -> Result:
    """The spec's study on this model; its parts are stored in the folder."""
    return run_study(STUDIES[spec.study], spec, Store(folder), context_with(model, **options))


def watched(model, spec: Spec, folder: Path) -> tuple[Result, list[Preview]]:
    """The same, and every preview, however much they cost; the result is as without them."""
    previews: list[Preview] = []
    with patch.multiple(running, _BETWEEN_PREVIEWS=0.0, _PREVIEWING=inf):
        result = run(model, spec, folder / "watched", on_preview=previews.append)
    assert previews
    like(result, run(model, spec, folder / "alone"))
    return result, previews


def like(one: Result, other: Result) -> None:
    """All of both results is the same."""
    np.testing.assert_equal(one.numbers, other.numbers)
    assert (one.tables.keys(), one.arrays.keys()) == (other.tables.keys(), other.arrays.keys())
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, other.tables[name], check_exact=True)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])
