"""Knowledge neurons of a protein classifier (arXiv 2312.10770)."""

from neuronlab.widgets import one_protein, shown, submodels, transfer, tuning
from neuronlab.widgets.page import header

HOW_TO_READ = """
A protein model is tuned to tell, say, enzymes from other proteins. Which of its query, key and
value neurons carry that? Neurons are scored on training and validation proteins, the best are kept,
all others are switched off, and the **submodel** is judged on test proteins: if few neurons carry
the task, little is lost. Beside all that is chosen stand random neurons, and random neurons with as
many in each layer and component; what is better is told by differences on the same test proteins.

**Scores.** *Activation*: how large a neuron's activation is on average, whatever it does.
*Integrated gradients*: what it adds to the logit of the right class, on the path from a fully
masked sequence. *Gradient x activation*: the same with the gradient at the end of the path alone.
Raw scores favour whichever projection is larger; a **quota per matrix** does not: compare both.

**Caveats.** The paper names no checkpoint, no split and no numbers that could be compared. With
very few neurons kept, attention mixes nothing and what is left is the embedding and the FFN: look
at the line where none is kept. Mean ablation leaves the special tokens at means of their own, and
with them the length of the protein. A query or key neuron works together with its rotary partner.
Length and composition together tell enzymes rather well: look at the baselines. Labels are of 2014,
and some are wrong.
"""
VIEWS = {
    "fine_tune": "Tune a model",
    "submodels": "Submodels",
    "one_protein": "One protein",
    "neuron_transfer": "Between tasks",
}
_DRAW = {
    "submodels": submodels.draw,
    "one_protein": one_protein.draw,
    "neuron_transfer": transfer.draw,
}


def main() -> None:
    header(
        "Knowledge neurons of a protein classifier",
        "How few neurons tell enzymes from other proteins, and where are they?",
        "After arXiv 2312.10770.",
        HOW_TO_READ,
        ("Submodel", "Mean ablation", "AUC", "F1", "DSSP", "Bootstrap interval", "Basket"),
    )
    view = shown.view(VIEWS)
    if view == "fine_tune":
        tuning.draw()
    elif tuning.choose():
        _DRAW[view]()


main()
