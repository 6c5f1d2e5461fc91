"""Labels for every neuron of a protein model (arXiv 2507.06458)."""

from neuronlab.widgets import protein_models, shown
from pages.labels import labelling, residues, scaling

VIEWS = {
    "neuron_labels": "Labels",
    "residue_labels": "Along the chain",
    "scaling": "Models side by side",
}
KINDS = ("masked", "classifier")


def main() -> None:
    view = shown.view(VIEWS)
    if view == "scaling":
        scaling.draw()
    elif view == "residue_labels":
        if protein_models.choose(KINDS, "model of proteins of every kind", "pdb"):
            residues.draw()
    elif protein_models.choose(KINDS, "protein model"):
        labelling.draw()


main()
