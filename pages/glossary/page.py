"""The glossary: every word that is explained on pages, by the alphabet."""

import streamlit as st

from neuronlab.widgets import links
from neuronlab.widgets.page import GLOSSARY


def main() -> None:
    if "word" in st.query_params:
        st.session_state.setdefault("glossary_words", st.query_params["word"])
    typed = st.text_input("Find a word", key="glossary_words")
    links.carry("word", typed)
    wanted = typed.lower()
    listed = {
        term: meaning
        for term, meaning in sorted(GLOSSARY.items(), key=lambda entry: _place(wanted, entry[0]))
        if wanted in f"{term} {meaning}".lower()
    }
    for term, meaning in listed.items():
        st.markdown(f"**{term}.** {meaning}")
    if not listed:
        st.caption("No word has that in it.")


def _place(wanted: str, term: str) -> tuple[bool, bool, str]:
    """The word itself, then those that have it in their name, then those that mention it."""
    name = term.lower()
    return wanted != name, wanted not in name, name


main()
