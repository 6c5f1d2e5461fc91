"""The view of one protein: its residues by what chosen neurons contribute there."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.attribution import residue_scores
from neuronlab.attribution.residues import ResidueScores, scores_at_residue
from neuronlab.cli.same_call import residues_python
from neuronlab.figures.protein import residue_track, state_name
from neuronlab.figures.report import Part
from neuronlab.figures.tokens import strip as strip_data
from neuronlab.models import COMPONENTS, Model, Prompt
from neuronlab.neurons import Neuron, NeuronScores, NeuronSet, predict
from neuronlab.neurons.activity import per_residue
from neuronlab.studies.submodels import SubmodelsStudy
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
from neuronlab.widgets.guard import counted, guard, plain
from pages.classifier import contacts as contact_maps
from pages.classifier import protein_choice
from pages.classifier.protein_choice import LONGEST, Chosen
from pages.classifier.ranking import METHODS, scores_of

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
        protein = protein_choice.choose(model)
        if not protein.sequence:
            return
        target, method, neurons, words = asked(model, protein.label)
        (values, p, error), first = _scores(
            model,
            model.name,
            model.revision,
            protein.sequence,
            target,
            method,
            tuple(neurons or ()),
        )
        if note := suited.note():
            st.caption(note)
        name = model.labels[target]
        instead = "" if first == name else f", and the model says **{plain(first)}**"
        st.markdown(
            f"**{plain(name)}** has {p:.1%}{instead}. Each residue is coloured by "
            f"what {words} contribute there to its logit, each layer and kind by itself: sums over "
            "several exceed the logit."
        )
        undecided = decision(p) if len(model.labels) == 2 else None
        within = domain(model.name, protein.sequence, "protein")
        if not badges.draw(within, undecided, precision(error)):
            return
        caption = [protein.name, model.title, f"{name} {p:.1%}: {METHODS[method]} of {words}"]
        residues(model, protein, target, neurons, values, caption)
        with st.container(horizontal=True):
            exports.share_view(
                residues_python(model.name, protein.sequence, target, method, neurons),
                f"this protein (a typed one of up to {LONGEST:,} residues) with its residue and "
                "colours",
            )


def asked(model: Model, label: int) -> tuple[int, str, NeuronSet | None, str]:
    """What is explained, by which method, through which neurons, and what these are called.

    Args:
        label: the class to begin with.
    """
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
    return target, method, *chosen(model, right)


def residues(
    model: Model,
    protein: Chosen,
    target: int,
    neurons: NeuronSet | None,
    values: np.ndarray,
    caption: list[str],
) -> None:
    """The residues in their sequence, their contacts and in space; and the one that is chosen."""
    sequence, secondary = protein.sequence, protein.secondary
    table = pd.DataFrame(
        {
            "residue": range(1, len(sequence) + 1),
            "letter": list(sequence),
            "score": values,
            **({"DSSP": list(secondary)} if secondary else {}),
        }
    )
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
