"""The view of one protein: its residues by what chosen neurons contribute there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.attribution import residue_scores
from neuronlab.figures.protein import STATES, contact_map, residue_track, state_name
from neuronlab.models import COMPONENTS, Model, tuned
from neuronlab.models.residues import clean_sequence
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.activity import per_residue
from neuronlab.proteins.backbones import gallery
from neuronlab.studies.submodels import SubmodelsSpec, SubmodelsStudy
from neuronlab.verdicts import domain
from neuronlab.widgets import badges, exports, links, services, state, structure
from neuronlab.widgets.guard import counted, doubted, guard, plain
from pages.classifier.ranking import METHODS, scores_of

# Trypsin: an enzyme that the classifier calls one, and of which it sees contacts.
_FIRST = "4I8H_A"
TYPED = "Type a sequence"
_METHODS = ("integrated_gradients", "gradient_x_activation")


def draw() -> None:
    """Everything of the view."""
    model = services.model(state.model_name(), state.device())
    with guard():
        sequence, secondary, label = protein(model)
        if not sequence:
            return
        left, middle, right = st.columns(3)
        target = left.selectbox(
            "What speaks for",
            range(len(model.labels)),
            min(label, len(model.labels) - 1),
            format_func=lambda i: model.labels[i],
            key=f"one_target_{model.name}_{label}",
        )
        method = middle.selectbox(
            "Attribution", _METHODS, format_func=METHODS.__getitem__, key="one_method"
        )
        neurons, words = chosen(model, right)
        values, p = _scores(
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
        st.markdown(
            f"**{plain(model.labels[target])}** has {p:.1%}. Each residue is coloured by what "
            f"{words} contribute there to its logit; at all residues together {values.sum():+.3f} "
            "(the first and the last token are no residues, and have a share of their own)."
        )
        if not badges.draw(domain(model.name, sequence, "protein")):
            return
        exports.chart(
            residue_track(sequence, values, secondary),
            table,
            "residues",
            "The sequence, each residue coloured by its score, with its secondary structure.",
        )
        if secondary:
            letters = (state_name(letter) for letter in STATES if letter in secondary)
            st.caption(
                "The lower line is the secondary structure in the crystal, by DSSP: "
                f"{plain(', '.join(letters))}."
            )
        left, right = st.columns(2, gap="medium")
        with left:
            contacts(model, sequence, values)
        with right:
            on_structure(model, sequence, values, secondary, neurons)


def protein(model: Model) -> tuple[str, str, int]:
    """Sequence, DSSP string or "", and label: of a test protein, or typed."""
    spec = SubmodelsSpec.like_tuned(model.name, model.revision)
    choices = _tests(spec.key, spec)
    which = st.selectbox(
        "Protein",
        [structure.KNOWN, TYPED, *choices],
        format_func=lambda n: f"{n} ({choices[n][3]})" if n in choices else n,
        key="one_protein",
        help="Of the test part: proteins that the model was not tuned on.",
    )
    if which == structure.KNOWN:
        chosen = structure.choose_known(gallery(), "one_known", _FIRST)
        if tuned.spec_of(model.name) and chosen.sequence in _learnt(spec.key, spec):
            st.caption("One of the proteins that the classifier was tuned on.")
        return chosen.sequence, chosen.secondary, 1
    if which != TYPED:
        sequence, secondary, label, _ = choices[which]
        return sequence, secondary, label
    text = st.text_area("Sequence in one-letter codes", key="one_sequence", max_chars=4000)
    if not text.strip():
        return "", "", 0
    sequence = clean_sequence(text, model.residues)
    doubted(sequence)
    return sequence, "", 1


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
        "Neurons", list(options), format_func=options.__getitem__, key="one_neurons"
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
) -> tuple[np.ndarray, float]:
    selection = NeuronSet(neurons) if neurons else None
    return residue_scores(_model, sequence, target, selection, method=method, components=COMPONENTS)


def contacts(model: Model, sequence: str, values: np.ndarray) -> None:
    """Which residues touch, as the trunk sees it."""
    st.markdown("**Contacts** that the trunk predicts, the residues' scores along the edges.")
    probabilities = services.contacts(model, sequence)
    if probabilities is None:
        st.caption("This model has no contact head.")
        return
    i, j = np.triu_indices(len(sequence), 4)
    strongest = np.argsort(-probabilities[i, j])[:200]
    pairs = pd.DataFrame(
        {
            "a": i[strongest] + 1,
            "b": j[strongest] + 1,
            "probability": probabilities[i, j][strongest],
        }
    )
    exports.chart(
        contact_map(probabilities, values, sequence),
        pairs,
        "contacts",
        "Heatmap of predicted contacts.",
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
    structure.draw(sequence, colours, "one", secondary=secondary)
