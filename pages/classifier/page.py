"""Knowledge neurons of a protein classifier (arXiv 2312.10770)."""

from neuronlab.widgets import sections
from pages.classifier import one_protein, submodels, transfer, tuning

VIEWS = {
    "submodels": "Submodels",
    "one_protein": "One protein",
    "neuron_transfer": "Between tasks",
    "fine_tune": "Tune a model",
}
_DRAW = {
    "submodels": submodels.draw,
    "one_protein": one_protein.draw,
    "neuron_transfer": transfer.draw,
}


def main() -> None:
    view = sections.view(VIEWS)
    if view == "fine_tune":
        tuning.draw()
    elif tuning.choose():
        _DRAW[view]()


main()
