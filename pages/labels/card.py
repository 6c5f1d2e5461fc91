"""One neuron: its label, what else was thought of, and the proteins it answers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures import labels as figures
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.labels.label_set import LabelSet
from neuronlab.models import Model
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.neurons.activity import per_residue
from neuronlab.proteins.backbones import backbone, find
from neuronlab.proteins.features import FEATURES
from neuronlab.runs import Result
from neuronlab.studies.exemplars import ExemplarsSpec
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, question
from neuronlab.widgets import exports, neuron_card, runs, services, shown, state, structure
from neuronlab.widgets.guard import plain

# How many of a neuron's proteins with a structure there are to choose from, on one scale.
_PAINTED = 8
# Residues of proteins people know that are asked for a neuron: all of them, in a second or two.
_SHORT = 200


def card(
    model: Model, labels: LabelSet, neuron: Neuron, spec: NeuronLabelsSpec, result: Result
) -> None:
    """One neuron: its label, its proteins, and their features."""
    row = labels.label_of(neuron)
    if row is None:
        return
    with neuron_card.panel():
        title(neuron, str(row["label"]))
        judged = "Not judged: too little held out bears it"
        if pd.notna(row["correlation"]):
            judged = f"Held-out correlation {row['correlation']:.2f}{control(row)}"
        st.caption(
            judged
            + (f"; effect size {row['effect']:+.2f}" if pd.notna(row.get("effect")) else "")
            + (f", false discovery rate {row['q']:.1g}" if pd.notna(row.get("q")) else "")
            + "."
        )
        above = st.container()
        exemplars = _exemplars(spec.exemplars)
        if exemplars is None:
            with above:
                _in_gallery(model, neuron)
            return
        if f"top.{neuron.component}" not in exemplars.arrays:  # imported labels of other neurons
            st.caption("The proteins of these neurons were not looked for here.")
            return
        _proteins(model, exemplars, neuron, str(row["concept"]), spec.pooling)
        _others(result, neuron)
        if spec.explainer != "statistics":
            with st.expander("What the language model was asked"):
                for message in question(
                    spec, exemplars, neuron.component, neuron.layer, neuron.index
                ):
                    st.code(message["content"], language=None, wrap_lines=True)


def title(neuron: Neuron, label: str) -> None:
    """Which neuron it is, and what it is called."""
    st.markdown(f"**Neuron {neuron.layer} / {COMPONENT_NAMES[neuron.component]} / {neuron.index}**")
    st.markdown(f"## {plain(label)}")


def _exemplars(spec: ExemplarsSpec) -> Result | None:
    """The proteins that drive every neuron; where only its labels are here, the way to them."""
    run = services.queue().get(spec.key)
    if not services.store().has(spec.key) and (run is None or not run.active):
        st.caption(
            "Labels alone are stored here. One pass over the same proteins finds those that drive "
            f"each neuron, for all neurons at once. {shown.cost(spec)}"
        )
        st.button(
            "Find its proteins",
            key="label_exemplars",
            icon=":material/search:",
            on_click=_find,
            args=(spec,),
        )
    runs.wait(spec.key, "exemplars")
    return services.result(spec.key)[1] if services.store().has(spec.key) else None


def _find(spec: ExemplarsSpec) -> None:
    runs.submit(spec, state.device())


def _proteins(model: Model, exemplars: Result, neuron: Neuron, concept: str, pooling: str) -> None:
    """Both ends, and a feature of them: first the one that the label names."""
    rows = {}
    for end, title in (("top", "Drives it most"), ("bottom", "Drives it least")):
        at = (neuron.layer, neuron.index)
        rows[end] = exemplars.arrays[f"{end}_at.{neuron.component}"][at]
        proteins = exemplars.tables["proteins"].iloc[rows[end]]
        shown_rows = pd.DataFrame(
            {
                "protein": proteins["name"].to_numpy(),
                f"{pooling} activation": exemplars.arrays[f"{end}.{neuron.component}"][at],
                "annotations": [", ".join(map(str, a)) for a in proteins["annotations"]],
                "sequence": proteins["sequence"].to_numpy(),
            }
        )
        with st.expander(f"{title}: {len(shown_rows)} proteins", expanded=end == "top"):
            st.dataframe(
                shown_rows,
                hide_index=True,
                height=210,
                key=f"label_{end}",
                column_config={
                    f"{pooling} activation": st.column_config.NumberColumn(format="%+.3f")
                },
            )
            exports.tables(shown_rows, f"{end}_proteins")
    driving = exemplars.tables["proteins"].iloc[rows["top"]]
    painted(model, driving, neuron, "Of those that drive the neuron most")
    _feature(exemplars.tables["proteins"], rows["top"], rows["bottom"], concept)


def _in_gallery(model: Model, neuron: Neuron) -> None:
    """Where the neuron is active in the proteins people know that drive it most."""
    sequences = {
        title: backbone(name).sequence for name, title in structure.gallery_for(model).items()
    }
    short = {title: sequence for title, sequence in sequences.items() if len(sequence) <= _SHORT}
    if short:
        activity = _activity(
            model, model.name, model.revision, tuple(short.values()), str(neuron), neuron
        )
        order = np.argsort([-values.mean() for values in activity], kind="stable")
        proteins = pd.DataFrame({"name": list(short), "sequence": list(short.values())})
        which = "Of proteins people know, those where its mean activation is highest, first"
        painted(model, proteins.iloc[order], neuron, which)


def painted(model: Model, proteins: pd.DataFrame, neuron: Neuron, which: str) -> None:
    """Where the neuron is active in the first of some proteins that have a structure.

    Args:
        proteins: columns name and sequence.
        which: proteins these are, in words.
    """
    named = zip(proteins["name"], proteins["sequence"], strict=True)
    sequences = {name: sequence for name, sequence in named if find(sequence) is not None}
    sequences = dict(list(sequences.items())[:_PAINTED])
    if not sequences:
        st.caption("No structure that comes with the app is of one of these proteins.")
        return
    st.markdown("**On their structures**: where the neuron is active.")
    every = _activity(
        model, model.name, model.revision, tuple(sequences.values()), str(neuron), neuron
    )
    activity = dict(zip(sequences, every, strict=True))
    name = st.selectbox(
        "Protein on its structure",
        list(sequences),
        key="label_painted",
        help=f"{which}; all on one scale.",
    )
    colour = structure.Colour("activation", lambda: activity[name], np.concatenate(every))
    structure.draw(sequences[name], {"activation": colour}, "label")


@st.cache_data(max_entries=64, show_spinner=False)
def _activity(
    _model: Model, name: str, revision: str, sequences: tuple[str, ...], at: str, _neuron: Neuron
) -> list[np.ndarray]:
    return [per_residue(_model, sequence, NeuronSet([_neuron])) for sequence in sequences]


def _feature(table: pd.DataFrame, top: np.ndarray, bottom: np.ndarray, concept: str) -> None:
    """A feature of the corpus and of the proteins at both ends.

    Args:
        top, bottom: rows of the table.
        concept: that the label names.
    """
    names = [n for n in FEATURES if n in table and table[n].notna().any()]
    feature = st.selectbox(
        "A feature of them",
        names,
        next(
            (i for i, n in enumerate(names) if FEATURES[n].title == concept), names.index("gravy")
        ),
        format_func=lambda n: FEATURES[n].title,
        key=f"label_feature_{concept}",
    )
    values = table[feature].to_numpy(float)
    corpus = values[table["background"].to_numpy(bool)]
    exports.chart(
        figures.feature_histogram(
            corpus[np.isfinite(corpus)], values[top], values[bottom], FEATURES[feature].title
        ),
        pd.DataFrame({"corpus": corpus}),
        "feature",
        "Histogram: a feature over the corpus and of the neuron's proteins.",
    )


def _others(result: Result, neuron: Neuron) -> None:
    """What else was considered."""
    table = result.tables["hypotheses"]
    hypotheses = table[
        (table["layer"] == neuron.layer)
        & (table["component"] == neuron.component)
        & (table["neuron"] == neuron.index)
    ]
    if len(hypotheses) > 1:
        st.caption("All hypotheses, with their correlation on the proteins that choose:")
        st.dataframe(
            hypotheses[["text", "source", "correlation"]].sort_values(
                "correlation", ascending=False
            ),
            hide_index=True,
            key="label_hypotheses",
        )


def control(of: Mapping[str, Any] | pd.Series) -> str:
    """What others' labels get; nothing where there are none."""
    if not np.isfinite([of["control_correlation"], of["beaten"]]).all():
        return ""
    return (
        f"; other neurons' labels get {of['control_correlation']:.2f}, and its own beats "
        f"**{of['beaten']:.0%}** of them"
    )
