"""The form of a prompt: residues are chosen by number and letter."""

from streamlit.testing.v1 import AppTest


def form(model):
    """The form alone; what it asks is in the session."""
    import streamlit as st

    from neuronlab.widgets import prompt_form, state

    state.start()
    st.session_state["model"] = model.name
    st.session_state["asked"] = prompt_form.ask(model)


def test_a_residue_to_hide_is_chosen_by_its_letter_and_number_from_one(tiny):
    at = AppTest.from_function(form, args=(tiny("esm", "masked"),), default_timeout=60).run()
    at.text_area[0].set_value("MKTAYIAKQR").run()  # its example is too long for a tiny model
    assert not at.exception
    assert not at.error, at.error[0].value
    place = next(box for box in at.selectbox if box.key.startswith("mask_"))
    assert place.options[0] == "M1"
    assert place.options[-1] == "R10"
    place.set_value(4).run()
    asked = at.session_state["asked"]
    assert (asked["text"][asked["mask"]], asked["mask"]) == ("Y", 4)
