"""Labels for every neuron of a protein model (arXiv 2507.06458)."""

from neuronlab.widgets import protein_models, shown
from pages.labels import labelling, scaling

VIEWS = {"neuron_labels": "Labels", "scaling": "Models side by side"}


def main() -> None:
    if shown.view(VIEWS) == "scaling":
        scaling.draw()
    elif protein_models.choose(("masked", "classifier"), "protein model"):
        labelling.draw()


main()
