"""Models side by side: its form."""

from streamlit.testing.v1 import AppTest

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
