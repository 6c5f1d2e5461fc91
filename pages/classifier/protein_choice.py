"""The protein that the view of one looks at: of the test part, well known, or typed."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import streamlit as st

from neuronlab.models import Model, tuned
from neuronlab.models.residues import clean_sequence
from neuronlab.proteins.backbones import find, gallery
from neuronlab.proteins.sequences import is_fasta, read_fasta
from neuronlab.studies.submodels import SubmodelsSpec
from neuronlab.widgets import links, structure
from neuronlab.widgets.guard import doubted

# Trypsin: an enzyme that the classifier calls one, and of which it sees contacts.
_FIRST = "4I8H_A"
TYPED = "Type a sequence"
# Residues of a typed protein that an address carries, which others are to open, too.
LONGEST = 2_000


class Chosen(NamedTuple):
    """A protein of the test part, one that people know, or a typed one.

    Attributes:
        name: what it is called; of a typed one, how it begins.
        sequence: "" where there is none yet.
        secondary: DSSP letters, or "".
        label: the class to begin with.
    """

    name: str
    sequence: str
    secondary: str
    label: int


def choose(model: Model) -> Chosen:
    """The protein that a person chooses."""
    spec = SubmodelsSpec.like_tuned(model.name, model.revision)
    choices = _tests(spec.key, spec)
    _follow(choices)
    which = st.selectbox(
        "Protein",
        [structure.KNOWN, TYPED, *choices],
        format_func=lambda n: f"{n} ({choices[n][3]})" if n in choices else n,
        key="one_protein",
        persist_state="session",
        help="Of the test part: proteins that the model was not tuned on.",
    )
    if which == structure.KNOWN:
        chosen = structure.choose_known(gallery(), "one_known", _FIRST)
        if tuned.spec_of(model.name) and chosen.sequence in _learnt(spec.key, spec):
            st.caption("One of the proteins that the classifier was tuned on.")
        title = f"{chosen.title}, {chosen.name}"
        links.carry("protein", chosen.name)
        return Chosen(title, chosen.sequence, chosen.secondary, 1)
    if which != TYPED:
        sequence, secondary, label, _ = choices[which]
        links.carry("protein", which)
        return Chosen(which, sequence, secondary, label)
    text = st.text_area(
        "Sequence in one-letter codes, or FASTA",
        key="one_sequence",
        persist_state="session",
        max_chars=50_000,
    )
    if not text.strip():
        return Chosen("", "", "", 0)
    if text.count(">") > 1 and is_fasta(text):
        proteins = read_fasta(text.encode())
        names = [f"{number}: {p.name}" for number, p in enumerate(proteins, start=1)]
        of_these = st.selectbox("Of these", names, key="one_of_these")
        text = proteins[names.index(of_these)].sequence
    sequence = clean_sequence(text, model.residues)
    links.carry("protein", sequence if len(sequence) <= LONGEST else "")
    doubted(sequence)
    begins = sequence if len(sequence) <= 30 else f"{sequence[:30]}…, {len(sequence)} residues"
    fit = find(sequence)
    return Chosen(begins, sequence, "" if fit is None else fit.secondary, 1)


def _follow(tests: Collection[str]) -> None:
    """Choose what the address names: a protein by its name, or its sequence; once in a session."""
    named = st.query_params.get("protein")
    if not named or "one_protein" in st.session_state:
        return
    in_gallery = named in gallery()
    st.session_state["one_protein"] = structure.KNOWN if in_gallery else named
    if in_gallery:
        st.session_state["one_known"] = named
    elif named not in tests:
        st.session_state["one_protein"] = TYPED
        st.session_state["one_sequence"] = named


@st.cache_data(max_entries=4, show_spinner=False)
def _tests(key: str, _spec: SubmodelsSpec) -> dict[str, tuple[str, str, int, str]]:
    proteins, sides = _spec.parts()
    tests = [proteins[i] for i in sides.test if 80 <= len(proteins[i].sequence) <= 400]
    tests = sorted(tests, key=lambda p: len(p.sequence))[:200]  # short ones take seconds
    return {p.name: (p.sequence, p.secondary, p.label, _spec.classes[p.label]) for p in tests}


@st.cache_data(max_entries=4, show_spinner=False)
def _learnt(key: str, _spec: SubmodelsSpec) -> frozenset[str]:
    """The sequences of the training part."""
    proteins, sides = _spec.parts()
    return frozenset(proteins[i].sequence for i in sides.train)
