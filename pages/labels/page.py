"""Labels for every neuron: of protein models (arXiv 2507.06458), and of language models."""

import streamlit as st

from neuronlab.models.catalogue import entry
from neuronlab.widgets import model_fetch, protein_models, sections, services, state
from pages.labels import contexts, labelling, residues, scaling

# Of protein models; of a language model there is one.
VIEWS = {
    "neuron_labels": "Labels",
    "residue_labels": "Along the chain",
    "scaling": "Models side by side",
}
KINDS = ("masked", "classifier", "encoder")


def main() -> None:
    # Those side by side are compared whatever is chosen.
    if st.session_state.get("view") != "scaling" and _reads_text():
        along = {residues.STUDY: VIEWS[residues.STUDY]}
        sections.left_out(along, "protein models of every kind, such as ESM-2 8M")
        contexts.draw()
        return
    view = sections.view(VIEWS)
    if view == "scaling":
        scaling.draw()
    elif view == "residue_labels":
        if protein_models.choose(KINDS, "model of proteins of every kind", "pdb"):
            residues.draw()
    elif protein_models.choose(KINDS, "protein model"):
        labelling.draw()


def _reads_text() -> bool:
    """Whether the chosen model does; one that the catalogue does not list has to be loaded."""
    name = state.model_name()
    listed = entry(name)
    if listed is not None:
        return listed.alphabet == "text"
    return model_fetch.ready(name) and services.model(name, state.device()).alphabet == "text"


main()
