"""Pages that show something of a run under way draw it without an error, and no more than it."""

from math import inf
from unittest.mock import patch

import numpy as np
import pytest
from contexts import watched
from streamlit.testing.v1 import AppTest

from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.runs import Cancelled, Context, Queue, Store, run_study, running
from neuronlab.studies import STUDIES
from neuronlab.studies.neuron_transfer import NeuronTransferSpec
from neuronlab.widgets import runs, services

SMOLLM, ANTIBERTY, ENZYMES = "smollm2-135m", "antiberty", "esm2-8m-enzyme"


@pytest.fixture
def underway(visit, home, nothing_stored, monkeypatch):
    """``underway(number, page, …)``: the page with the preview of that number of its first run."""

    def previews(spec, number):
        shown = []

        def on_preview(preview):
            shown.append(preview)
            if len(shown) == number:
                raise Cancelled

        study, parts = STUDIES[spec.study], Store(home / "parts")
        every = patch.multiple(running, _BETWEEN_PREVIEWS=0.0, _PREVIEWING=inf)
        with every, pytest.raises(Cancelled):
            run_study(study, spec, parts, Context(on_preview=on_preview))
        return shown

    def go(number, *place, **query):
        computed = {}

        def wait(key, name, preview):
            run = services.queue().get(key)
            if key not in computed:
                computed[key] = previews(run.spec, number)
            preview(computed[key][-1])
            services.queue().cancel(key, services.owner())  # it has not begun

        # Nobody computes what is submitted, and the page does not wait for it.
        monkeypatch.setattr(Queue, "_start_worker", lambda self, device: None)
        monkeypatch.setattr(runs, "wait", wait)
        app = visit(*place, **query)
        if not computed:  # a page that begins nothing by itself
            app.press("run")
        (shown,) = computed.values()
        assert app.errors() == []
        return app, shown[-1].words

    return go


def test_layers_and_heads_come_before_value_neurons(underway):
    page, words = underway(1, "value_query", SMOLLM)
    assert words == "layers and heads; neurons are next"
    assert page.charts() >= {"chart_value_layers", "chart_path", "chart_head_positions"}
    assert "chart_histogram" not in page.charts()


def test_pairs_come_before_random_ones(underway):
    page, words = underway(1, "degenerate", SMOLLM)
    assert words == "the pairs; random ones beside them are next"
    assert page.says("of 190 pairs**")
    assert "chart_random_pairs" not in page.charts()


def test_steered_chains_come_before_random_sets(underway):
    page, words = underway(1, "steering", ANTIBERTY)
    assert words.endswith("batches of chains")
    assert page.says("Whether random neurons do as much")
    assert page.charts() == {"chart_trajectories", "chart_finals"}


def test_a_map_of_one_pass_comes_before_residues_are_hidden(underway):
    page, words = underway(1, "attribution", ANTIBERTY, view="mutations")
    assert words.startswith("from one pass with nothing hidden")
    assert page.at.get("bidi_component")
    assert not page.says("would rather see")


@pytest.mark.slow
def test_kinds_of_knowledge_come_before_heads_are_switched_off(underway):
    page, words = underway(3, "knowledge_types", SMOLLM, "knowledge_types")
    assert words == "3 of 12 facts"
    assert page.charts() == {
        "chart_kinds_value_layers",
        "chart_kinds_query_layers",
        "chart_kinds_overlap",
    }
    assert not page.says("switched off")


@pytest.mark.slow  # with others, to keep `make test` short
def test_the_first_layers_have_labels_before_others(underway):
    page, words = underway(2, "labels", ANTIBERTY, "neuron_labels")
    assert words == "2 of 8 layers"
    assert page.says("of 256** neurons have a label")
    assert page.charts() == {"chart_correlations"}


@pytest.mark.slow
def test_the_first_model_is_counted_before_the_second_is_labelled(underway):
    page, words = underway(1, "labels", ANTIBERTY, "scaling")
    assert words == "1 of 2 models"
    assert page.charts() == {"chart_sextiles", "chart_sizes"}


@pytest.mark.slow
def test_the_best_neurons_are_placed_before_submodels_are_judged(underway):
    page, words = underway(1, "classifier", ENZYMES, "submodels")
    assert words == "1 of 1 portions of proteins"
    assert page.charts() >= {"chart_component_shares", "chart_density"}
    assert "chart_submodels" not in page.charts()


def _transfer():
    """A page that is the preview of a transfer; AppTest runs its text."""
    import streamlit as st

    from neuronlab.widgets import exports
    from pages.classifier import transfer

    exports.begin("A transfer")
    transfer.preview(st.session_state["spec"], st.session_state["result"])


def test_what_tasks_share_comes_before_models_are_judged_one_by_one(home, tiny, tmp_path):
    """On tiny models, which take no time."""
    labels = {"num_labels": 2, "id2label": {0: "no", 1: "yes"}}
    pair = {
        "one": tiny("esm", "classifier", **labels),
        "two": tiny("esm", "classifier", seed=5, title="Other", **labels),
    }
    letters = np.random.default_rng(0).choice([*"ACDEFGHIKL"], (30, 9))
    proteins = tuple(LabelledProtein(f"p{i}", "".join(p), i % 2) for i, p in enumerate(letters))
    spec = NeuronTransferSpec(
        model="one",
        other="two",
        method="activation",
        data="own",
        own=proteins,
        labels=("no", "yes"),
        scored=4,
        seeds=2,
    )
    _, previews = watched(pair, spec, tmp_path)
    for preview, charts in zip(previews, (set(), {"chart_transfer_target"}), strict=True):
        at = AppTest.from_function(_transfer, default_timeout=100)
        at.session_state["spec"], at.session_state["result"] = spec, preview.result
        at.run()
        assert not at.exception
        assert {element.key for element in at.get("plotly_chart")} == charts
        assert any("Do the two tasks use the same" in each.value for each in at.markdown)
