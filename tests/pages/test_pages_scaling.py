"""Models side by side: its form, and what its columns are called."""

import pandas as pd
from streamlit.testing.v1 import AppTest

from neuronlab.studies.scaling import _size
from pages.labels import scaling


def form():
    """The form alone."""
    import streamlit as st

    from pages.labels import scaling

    st.session_state["spec"] = scaling.form()


def test_the_form_begins_with_what_the_page_opens_on(monkeypatch):
    monkeypatch.setattr(scaling.model_fetch, "ready", lambda name: True)
    opened = []
    monkeypatch.setattr(scaling.shown, "study", lambda *_, first, **others: opened.append(first))
    at = AppTest.from_function(form).run()
    assert not at.exception
    scaling.draw()
    assert opened == [at.session_state["spec"]]


def test_no_column_has_a_name_of_the_code():
    rows = pd.DataFrame({"label": ["a", "b"] * 9, "layer": [0, 1] * 9})
    raw = {name for name in _size(rows, 2) if "_" in name}
    assert raw <= {*scaling._HEADINGS}
    assert not [title for title in scaling._HEADINGS.values() if "_" in title or "<" in title]
