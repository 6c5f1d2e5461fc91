"""The view of one protein: its residues by what chosen neurons contribute there."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.attribution import residue_scores
from neuronlab.attribution.residues import ResidueScores, scores_at_residue
from neuronlab.cli.same_call import residues_python
from neuronlab.figures.protein import residue_track, state_name
from neuronlab.figures.report import Part
from neuronlab.figures.tokens import strip as strip_data
from neuronlab.models import COMPONENTS, Model, Prompt, tuned
from neuronlab.models.residues import clean_sequence
from neuronlab.neurons import Neuron, NeuronScores, NeuronSet, predict
from neuronlab.neurons.activity import per_residue
from neuronlab.proteins.backbones import find, gallery
from neuronlab.proteins.sequences import is_fasta, read_fasta
from neuronlab.studies.submodels import SubmodelsSpec, SubmodelsStudy
from neuronlab.verdicts import decision, domain, precision
from neuronlab.widgets import (
    badges,
    exports,
    links,
    neuron_card,
    services,
    state,
    structure,
    suited,
    token_strip,
)
from neuronlab.widgets import contacts as contact_maps
from neuronlab.widgets.guard import counted, doubted, guard, plain
from pages.classifier.ranking import METHODS, scores_of

# Trypsin: an enzyme that the classifier calls one, and of which it sees contacts.
_FIRST = "4I8H_A"
TYPED = "Type a sequence"
# Residues of a typed protein that an address carries, which others are to open, too.
_LONGEST = 2_000
_PAIR = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
# What the figures of the page share: see `figures.tokens.strip`.
_LINKED = "one"
# Residues are in contact from this probability on, and neighbours of the chain are left out.
_TOUCHING, _APART = 0.5, 4
_METHODS = ("integrated_gradients", "gradient_x_activation")


def draw() -> None:
    """Everything of the view."""
    model = services.model(state.model_name(), state.device())
    with guard():
        links.carry_model()
        name, sequence, secondary, label = protein(model)
        if not sequence:
            return
        left, middle, right = st.columns(3)
        target = left.selectbox(
            "What speaks for",
            range(len(model.labels)),
            min(label, len(model.labels) - 1),
            format_func=lambda i: model.labels[i],
            key=f"one_target_{model.name}_{label}",
            bind="query-params",
        )
        method = middle.selectbox(
            "Attribution",
            _METHODS,
            format_func=METHODS.__getitem__,
            key="one_method",
            bind="query-params",
        )
        neurons, words = chosen(model, right)
        (values, p, error), first = _scores(
            model, model.name, model.revision, sequence, target, method, tuple(neurons or ())
        )
        table = pd.DataFrame(
            {
                "residue": range(1, len(sequence) + 1),
                "letter": list(sequence),
                "score": values,
                **({"DSSP": list(secondary)} if secondary else {}),
            }
        )
        if note := suited.note():
            st.caption(note)
        asked = model.labels[target]
        instead = "" if first == asked else f", and the model says **{plain(first)}**"
        st.markdown(
            f"**{plain(asked)}** has {p:.1%}{instead}. Each residue is coloured by "
            f"what {words} contribute there to its logit, each layer and kind by itself: sums over "
            "several exceed the logit."
        )
        undecided = decision(p) if len(model.labels) == 2 else None
        within = domain(model.name, sequence, "protein")
        if not badges.draw(within, undecided, precision(error)):
            return
        caption = [name, model.title, f"{asked} {p:.1%}: {METHODS[method]} of {words}"]
        strip(table, values, secondary, caption)
        probabilities = services.contacts(model, sequence)
        at, beside = _looked_at(sequence)
        with st.container():  # always there: what follows keeps its place, and is not drawn anew
            if at is not None:
                one_residue(table, at, beside, probabilities)
        left, right = st.columns(2, gap="medium")
        with left:
            contacts(sequence, values, probabilities, caption)
        with right:
            on_structure(model, sequence, values, secondary, neurons)
        if at is not None:
            neurons_there(model, sequence, target, at)
        with st.container(horizontal=True):
            exports.share_view(
                residues_python(model.name, sequence, target, method, neurons),
                f"this protein (a typed one of up to {_LONGEST:,} residues) with its residue and "
                "colours",
            )


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


def protein(model: Model) -> Chosen:
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
    links.carry("protein", sequence if len(sequence) <= _LONGEST else "")
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


def chosen(model: Model, place: st.delta_generator.DeltaGenerator) -> tuple[NeuronSet | None, str]:
    """The neurons whose scores are summed, and what they are called; None is all of them."""
    basket = state.basket()
    options = {"all": "All neurons"}
    if len(basket):
        options["basket"] = f"The basket ({len(basket)})"
    key = _submodels(model)
    if key is not None:
        options |= {"top100": "The best 100 by integrated gradients", "top10": "The best 10"}
    which = place.selectbox(
        "Neurons",
        list(options),
        format_func=options.__getitem__,
        key="one_neurons",
        bind="query-params",
    )
    if which == "basket":
        return basket, f"the {counted(len(basket), 'neuron')} of the basket"
    if key is not None and which.startswith("top"):
        spec, result = services.result(key)
        method = "integrated_gradients"
        method = method if method in spec["methods"] else spec["methods"][0]
        count = int(which[3:])
        return scores_of(result, method).select(top=count), f"the {count} best neurons"
    return None, "all neurons"


def _submodels(model: Model) -> str | None:
    """The submodels that this session looks at, or those that their view opens on."""
    opened = links.shown("submodels")
    first = SubmodelsStudy().small(model)
    for key in filter(None, (opened, first.key)):
        if services.store().has(key) and services.result(key)[0]["model"] == model.name:
            return key
    return None


@st.cache_data(max_entries=64, show_spinner="Attributing")
def _scores(
    _model: Model,
    name: str,
    revision: str,
    sequence: str,
    target: int,
    method: str,
    neurons: tuple,
) -> tuple[ResidueScores, str]:
    """Scores of the residues, and the class that the model says."""
    selection = NeuronSet(neurons) if neurons else None
    scores = residue_scores(
        _model, sequence, target, selection, method=method, components=COMPONENTS
    )
    first = predict(_model, Prompt(sequence)).label
    return scores, first


def strip(table: pd.DataFrame, values: np.ndarray, secondary: str, caption: list[str]) -> None:
    """The numbered sequence, each residue coloured by its score; a click chooses one."""
    sequence = "".join(table["letter"])
    at, beside = _looked_at(sequence)
    data = strip_data(
        list(sequence),
        values.tolist(),
        "score",
        residues=True,
        states=secondary,
        chosen=at,
        beside=beside,
        linked=_LINKED,
        legend=("against", "for"),
    )

    def choose(place: int, other: int | None = None) -> None:
        again = (place, other) == (at, beside)
        st.session_state["one_residue"] = sequence, *((None, None) if again else (place, other))

    token_strip.draw(data, "residues", choose)
    alt = "The sequence, each residue coloured by its score, with its secondary structure."
    still = partial(residue_track, sequence, values, secondary)
    exports.reported("residues", Part(alt, still, table))
    exports.tables(table, "residues", figure="strip_residues", alt=alt, caption=caption)
    words = "The line below each residue is its secondary structure in the crystal, by DSSP. "
    st.caption(
        f"{words if secondary else ''}A residue under the pointer is marked in the contacts and on "
        "the structure, too; a click says more about it (of a pair of the map, about its row, and "
        "marks both)."
    )


def _looked_at(sequence: str) -> tuple[int | None, int | None]:
    """The places of the residue that this session looks at, and of the other one of a pair."""
    if "one_residue" not in st.session_state:
        named = st.query_params.get("residue", "")
        st.session_state["one_residue"] = sequence, *_pair(named, len(sequence))
    of, at, beside = st.session_state["one_residue"]
    if of != sequence:
        at = beside = None
    links.carry("residue", "-".join(str(i + 1) for i in (at, beside) if i is not None))
    return at, beside


def _pair(named: str, length: int) -> tuple[int | None, int | None]:
    """The places that an address names, such as "48" or "48-11"; none outside the protein."""
    match = _PAIR.fullmatch(named)
    places = [int(place) - 1 for place in match.groups() if place] if match else []
    if not all(0 <= place < length for place in places):
        places = []
    at, beside, *_ = [*places, None, None]
    return at, beside


def one_residue(
    table: pd.DataFrame, at: int, beside: int | None, probabilities: np.ndarray | None
) -> None:
    """What is known of the chosen residue, and of the pair that it is of."""
    row = table.loc[at]
    rank = int((table["score"] > row["score"]).sum()) + 1
    words = [f"**{row['letter']}{row['residue']}**: score {row['score']:+.4f}"]
    words.append(f" (rank {rank} of {len(table)})")
    if "DSSP" in table:
        words.append(f"; {state_name(str(row['DSSP']))}")
    if probabilities is not None:
        if beside is not None:
            other = f"{table['letter'][beside]}{beside + 1}"
            words.append(f"; with **{other}** {probabilities[at, beside]:.0%} likely in contact")
        apart = np.abs(np.arange(len(table)) - at) >= _APART
        near = np.flatnonzero((probabilities[at] >= _TOUCHING) & apart)
        names = (f"{table['letter'][i]}{i + 1} ({probabilities[at, i]:.0%})" for i in near)
        words.append(
            f"; predicted contacts of {_TOUCHING:.0%} or more: {', '.join(names) or 'none'}"
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{''.join(words)}. Which neurons contribute most there: below.")
        st.button(
            "All residues",
            icon=":material/close:",
            type="tertiary",
            on_click=st.session_state.__setitem__,
            args=("one_residue", ("", None, None)),
        )


def neurons_there(model: Model, sequence: str, target: int, at: int) -> None:
    """The neurons that act at the chosen residue, each with its card."""
    scores = _scores_there(model, model.name, model.revision, sequence, target, at)
    table = scores.top(10)
    neurons = [Neuron(int(r.layer), r.component, int(r.neuron)) for r in table.itertuples()]
    name = st.pills(
        f"What contributes most at {sequence[at]}{at + 1}, by gradient x activation: choose one "
        "for its card",
        list(map(str, neurons)),
        key="neuron_there",
    )
    with st.container(horizontal=True):
        st.button(
            "Add these to the basket",
            icon=":material/add:",
            type="tertiary",
            key="add_there",
            on_click=state.add_to_basket,
            args=(NeuronSet(neurons),),
        )
        exports.tables(table, "neurons_there", corner=False)
    if name is not None:
        neuron = Neuron.parse(name)
        links.look_at(neuron)
        neuron_card.draw(model, Prompt(sequence, target=target), neuron, scores)


# Read only, and for all sessions: a copy for each would take longer than to compute it.
@st.cache_resource(max_entries=16, show_spinner=False)
def _scores_there(
    _model: Model, name: str, revision: str, sequence: str, target: int, at: int
) -> NeuronScores:
    return scores_at_residue(_model, sequence, target, at)


def contacts(
    sequence: str, values: np.ndarray, probabilities: np.ndarray | None, caption: list[str]
) -> None:
    """Which residues touch, as the trunk sees it."""
    st.markdown("**Contacts** that the trunk predicts, the residues' scores along the edges.")
    if probabilities is None:
        st.caption("This model has no contact head.")
    else:
        contact_maps.draw(
            probabilities, values, sequence, "contacts", linked=_LINKED, caption=caption
        )


def on_structure(
    model: Model, sequence: str, values: np.ndarray, secondary: str, neurons: NeuronSet | None
) -> None:
    """The residues on the protein's structure."""
    st.markdown("**On its structure**: what the residues contribute, in space.")
    colours = {"score": structure.Colour("score", lambda: values)}
    if neurons is not None:
        colours["activation"] = structure.Colour(
            "mean activation", lambda: per_residue(model, sequence, neurons)
        )
    structure.draw(sequence, colours, "one", secondary=secondary, linked=_LINKED)
