"""A method is its file: what one file adds is seen by Python, command line and pages."""

import re

import numpy as np
import pytest

import neuronlab as nl
from neuronlab.attribution import METHODS, registry
from neuronlab.attribution.registry import LAST, Method
from neuronlab.cli import attribute as command
from neuronlab.cli import main
from neuronlab.studies.attribution import AttributionSpec


def test_a_method_is_added_by_one_file(tiny, asked, toy_method):
    model = tiny("llama")
    assert list(METHODS)[-1] == "toy"
    assert list(nl.methods()["name"]) == list(METHODS) == command.method_names()
    scores = nl.attribute(model, asked(model), method="toy")
    fires = nl.attribute(model, asked(model), method="activation")
    for component in scores:
        assert np.allclose(abs(scores[component]), 2 * fires[component], atol=1e-6)
    assert scores.provenance["settings"]["method"] == "toy"
    assert AttributionSpec(model="m", text="t", method="toy").method == "toy"


def test_the_command_line_offers_it(toy_method, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["attribute", "--help"])
    assert re.search(r"\{[\w,\s]*\btoy\b[\w,\s]*\}", capsys.readouterr().out)


def test_methods_stand_in_the_order_they_ask_for(monkeypatch):
    shared = METHODS["norm"].__dict__
    monkeypatch.setattr(registry, "METHODS", {})
    for name, order in (("last", LAST), ("second", 20), ("first", 10), ("second_too", 20)):
        registry.register(Method(**shared | {"name": name, "order": order}))
    assert list(registry.METHODS) == ["first", "second", "second_too", "last"]
