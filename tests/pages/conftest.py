"""The app without a browser: pages on results of their own, never on a person's."""

import shutil
import time
from importlib import import_module
from pathlib import Path

import pytest
from app_without_browser import MENDS
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import neuronlab.home
from neuronlab import examples
from neuronlab.models import sharing
from neuronlab.models.catalogue import EMBEDDED
from neuronlab.runs import Store
from neuronlab.widgets import bystanders, intervention, label_sets, model_fetch, services, shown
from pages import HOME

ROOT = Path(__file__).parents[2]
MODELS = [model.name for model in EMBEDDED if model.default]
# Far beyond what any page takes: only a hang reaches it.
LIMIT = 300


@pytest.fixture(scope="session")
def models_folder():
    """Where the fetched models are; asked before any test changes the home."""
    return neuronlab.home.folder() / "models"


@pytest.fixture(scope="session")
def finished(models_folder, tmp_path_factory, copy_examples):
    """A folder of results that holds the example of every embedded model."""
    folder = tmp_path_factory.mktemp("finished") / "runs"
    copy_examples(folder, *(spec for name in MODELS for spec in examples.opened(name)))
    examples.compute(MODELS, Store(folder))
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch, models_folder):
    """A home of its own for the server: the fetched models and viewer, no results."""
    (tmp_path / "models").symlink_to(models_folder)
    (tmp_path / "assets").symlink_to(models_folder.parent / "assets")
    shutil.copytree(models_folder.parent / "corpora", tmp_path / "corpora")
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    _forget()
    yield tmp_path
    services.queue().close(timeout=30.0)
    _forget()


def _forget():
    # What Streamlit keeps for the whole server would outlive a test.
    services.queue.clear()
    services.result.clear()
    model_fetch._fetches.clear()
    for cached in (label_sets.newest_run, label_sets._of_run, label_sets._imported):
        cached.clear()


@pytest.fixture
def results(home, finished):
    """The home with finished examples; the folder of its results."""
    shutil.copytree(finished, home / "runs")
    return home / "runs"


@pytest.fixture
def nothing_stored(monkeypatch):
    """As if no example came with the project: pages compute what they open on."""
    monkeypatch.setattr(examples, "stored_keys", frozenset)


@pytest.fixture
def with_bystanders():
    """Pages ask bystanders, too, which costs every proof some seconds: see the next fixture."""


@pytest.fixture(autouse=True)
def _without_bystanders(request, monkeypatch):
    if "with_bystanders" not in request.fixturenames:
        for part in ("draw", "headline"):
            monkeypatch.setattr(bystanders, part, lambda *args, **options: None)


@pytest.fixture
def with_all_random_sets():
    """As many as the app has, for tests of what it says of them: see the next fixture."""
    intervention._effect.clear()  # of other tests, with few
    yield
    intervention._effect.clear()


@pytest.fixture(autouse=True)
def _few_random_sets(request, monkeypatch):
    """Two instead of twenty."""
    if "with_all_random_sets" in request.fixturenames:
        return
    for module in (import_module("neuronlab.neurons.effect"), bystanders, intervention):
        monkeypatch.setattr(module, "RANDOM_SETS", 2)


@pytest.fixture(autouse=True)
def _as_the_server_does(monkeypatch):
    for mend in MENDS:
        monkeypatch.setattr(*mend)
    # A page's test would load again what another's has let go.
    monkeypatch.setattr(sharing, "_KEEP", len(EMBEDDED))
    # What is begun unasked on an idle machine is on a busy one, too, which promises less.
    monkeypatch.setattr(shown, "_LONG", LIMIT)


@pytest.fixture
def visit(home):
    """``visit(page, model=…, **query)``: a new session that opens the page, and its App."""

    def go(page="attribution", model=None, **query):
        app = App(AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=LIMIT))
        if model is not None:  # the first run must not start another's example
            app.at.session_state["model"] = model
        app.at.query_params.update(query)
        return app.go(page)

    return go


class App:
    """One session of the app, with the questions that tests ask of it."""

    def __init__(self, at):
        self.at = at

    def go(self, page):
        # What a browser sends; AppTest's own switch_page needs a run of another page before.
        self.at._page_hash = calc_hash("" if page == HOME.name else page)
        return self.settle()

    def settle(self):
        """What the page looks like when no run is under way any more."""
        self.run()
        waited = False
        while any(run.active for run in services.queue().runs()):
            waited = True
            time.sleep(0.05)
        return self.run() if waited else self

    def run(self):
        self.at.run()
        self.check()
        return self

    def check(self):
        assert not self.at.exception, [e.message for e in self.at.exception]

    def query(self, name):
        """A parameter of the address; AppTest keeps it as a list or as it was set."""
        value = self.at.query_params[name]
        return value[0] if isinstance(value, list) else value

    def stored(self, results):
        """Spec and result of the run that the address names."""
        return Store(results).load(self.query("run"))

    def result(self, results):
        return self.stored(results)[1]

    def charts(self):
        """The keys of all charts of the page, whichever section they are in."""
        keys = {element.key for element in self.at.get("plotly_chart")}
        for control in self.at.button_group:
            if control.key == "section":
                first = control.value
                for name in [name for name in control.options if name != first]:
                    self.section(name)
                    keys |= {element.key for element in self.at.get("plotly_chart")}
                self.section(first)
        return keys

    def section(self, title):
        """Turn to a section by its title."""
        name = title.lower().replace(" ", "-")
        self.at.button_group(key="section").set_value(name)
        return self.run()

    def errors(self):
        return [error.value for error in self.at.error]

    def one_error(self, *parts):
        """There is exactly one message, and it is a sentence that holds these words."""
        (error,) = self.errors()
        assert error.rstrip().endswith(".")
        assert "Traceback" not in error
        assert "unexpectedly" not in error
        for part in parts:
            assert part in error.replace("\\", "")
        return error

    def texts(self):
        """All that is rendered as Markdown."""
        at = self.at
        groups = (at.markdown, at.caption, at.info, at.error, at.warning, at.success)
        return [element.value for group in groups for element in group]

    def says(self, part):
        return any(part in text for text in self.texts())

    def widget(self, kind, key):
        """A widget of the form: its key carries the form's version."""
        return next(w for w in getattr(self.at, kind) if w.key and w.key.startswith(f"{key}_"))

    def set(self, kind, key, value):
        self.widget(kind, key).set_value(value)
        return self.run()

    def prompt(self, text):
        return self.set("text_area", "text", text)

    def select(self, key, *rows):
        """What a click on rows of a table does."""
        self.at.session_state[key] = {
            "selection": {"rows": [int(row) for row in rows], "columns": [], "cells": []}
        }
        return self.run()

    def press(self, key):
        self.at.button(key=key).click()
        return self.settle()

    def choose_model(self, name):
        self.at.selectbox(key="model").set_value(name)
        return self.settle()

    def probability(self):
        """The first metric of the intervention panel: after the change, as a percentage."""
        metric = next(m for m in self.at.metric if m.label.startswith("p("))
        return float(metric.value.rstrip("%")), float(metric.delta.split()[0])

    def basket(self):
        """What the sidebar says of the basket."""
        popovers = self.at.sidebar.get("popover")
        return next(p.proto.popover.label for p in popovers if "Basket" in p.proto.popover.label)

    def texts_of_code(self):
        return [code.value for code in self.at.code]
