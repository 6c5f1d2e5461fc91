"""The view of labels: make them, browse them by layer, search them, look at one neuron."""

from __future__ import annotations

import streamlit as st

from neuronlab import examples
from neuronlab.labels import prompts
from neuronlab.labels.label_files import read
from neuronlab.labels.label_set import LabelSet
from neuronlab.labels.library import Library
from neuronlab.models import Model
from neuronlab.proteins.corpora import CORPORA
from neuronlab.runs import Result
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, NeuronLabelsStudy, small
from neuronlab.widgets import label_sets, services, shown, state
from neuronlab.widgets.guard import guard, plain
from pages.labels.browse import browse, overview
from pages.labels.form import form

STUDY = label_sets.STUDY
_IMPORT_MB = 50


def draw() -> None:
    """Everything of the view."""
    model = services.model(state.model_name(), state.device())
    with st.expander("Make or import labels", icon=":material/label:"):
        with guard():
            spec = form(model)
            shown.run_button(spec, cost)
        _imports(model)
    first = examples.first(STUDY, model) or small(model.name, model.revision)
    corpus = dict(first)["corpus"]
    if corpus in CORPORA and not CORPORA[corpus].ready:
        with guard():
            label_sets.corpus_ready(corpus)
    finished = shown.finished(STUDY, model.name, spec, first, preview)
    if finished is None:
        return
    with guard():
        browse(model, label_sets.of_run(finished[0].key), *finished)


def preview(spec: NeuronLabelsSpec, result: Result) -> None:
    """The labels of the first layers."""
    labels = LabelSet.of(spec.model_dump(), result.tables["labels"])
    if (labels.rows["label"] != "").any():
        overview(labels, spec, result)


def cost(spec: NeuronLabelsSpec) -> str:
    """What a run will take; of an endpoint also roughly how many tokens."""
    words = shown.cost(spec)
    if spec.explainer == "endpoint":
        model = services.model(spec.model, state.device())
        requests = NeuronLabelsStudy().neurons_explained(spec, model)
        # A prompt of fifteen proteins with a hundred residues each.
        each = 3_000 if spec.variant == "neuronlab" else 1_500
        tokens = prompts.Tokens(each * requests, 40 * spec.candidates * requests)
        price = (
            st.session_state.get("label_price_in", 0.0),
            st.session_state.get("label_price_out", 0.0),
        )
        money = f", about {tokens.cost(*price):.2f} at these prices" if any(price) else ""
        words += (
            f" {requests:,} requests of about {each:,} tokens each: {tokens.prompt / 1e6:.2f} M to "
            f"read and {tokens.answer / 1e6:.3f} M to write{money}."
        )
    return words


def _imports(model: Model) -> None:
    """Labels of other machines."""
    library = Library()
    with st.popover("Imported labels", icon=":material/upload:"):
        file = st.file_uploader(
            "Exported labels (ZIP), or a table with model, layer, component, neuron, label",
            type=["zip", "csv", "tsv", "parquet"],
            max_upload_size=_IMPORT_MB,
            key="label_import",
        )
        if file is not None and st.button("Import", key="label_import_go"):
            with guard():
                library.add(read(file.name, file.getvalue()))
                st.rerun()
        for key, card in library.sets().items():
            with st.container(horizontal=True, vertical_alignment="center"):
                words = f"{card['model']}: {card['labelled']:,} labels from {card['source']}"
                st.caption(plain(words))
                st.button("Remove", key=f"label_remove_{key}", on_click=library.remove, args=(key,))
        labels = label_sets.imported(model.name)
        if labels is not None:
            st.toggle("Show the imported labels", key="label_imported")
