"""Labels for every neuron of a protein model (arXiv 2507.06458)."""

from neuronlab.widgets import labelling, protein_models, scaling, shown
from neuronlab.widgets.page import header

HOW_TO_READ = """
Show a protein model a corpus, and note for every neuron the **30 proteins that drive it most and
the 30 that drive it least**. What do the first have in common that the rest do not? The built-in
explainer tests every feature and annotation; a language model may be asked instead, or as well. A
hypothesis is worth what it predicts: it is **simulated** on proteins that nobody used to make it,
the best one becomes the label, and its correlation on a third part of the proteins stands beside
it. The control is what the labels of the layer's other neurons get, each turned the way in which it
fits this neuron; **beaten** is the share of them that do worse than its own. With the built-in
explainer, what may be chance (a false discovery rate of 5 % or more, over all live neurons) is no
label; that test takes proteins as independent, which relatives are not.

**Who judges.** Relatives of the proteins that made a label judge it kindly. Whole families are held
out, unless you choose otherwise: no judge shares half of its words of six residues with a protein
that explains. Germline genes of two families may still be alike in 80 % of their residues; hold out
whole species to be stricter.

**Caveats.** A label says what goes with a neuron's activity, not what the neuron does: labels find
neurons that do not steer (see the page “Steer a protein”). Labels are of a neuron *on this corpus*:
germline genes differ by species, chain and family, and so do their labels. The paper labels
dimensions of the residual stream, and half of its labels repeat an example of its prompt; compare a
label with how common its feature is. Lengths, masses and compositions go together: a label names
the one that fits best.
"""
VIEWS = {"neuron_labels": "Labels", "scaling": "Models side by side"}


def main() -> None:
    header(
        "What does each neuron know?",
        "Which proteins drive it, and what do they share?",
        "After arXiv 2507.06458.",
        HOW_TO_READ,
        ("Exemplars", "Label", "Held-out correlation", "Control correlation", "DSSP", "Basket"),
    )
    if shown.view(VIEWS) == "scaling":
        scaling.draw()
    elif protein_models.choose(("masked", "classifier"), "protein model"):
        labelling.draw()


main()
