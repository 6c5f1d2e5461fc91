"""Steer the generation of a protein through neurons (arXiv 2507.06458)."""

from neuronlab.widgets import protein_models, steering
from neuronlab.widgets.page import header

HOW_TO_READ = r"""
A masked protein model hides a tenth of the free residues, predicts them, and draws new ones; again
and again. While it does, some neurons are changed: $h' = a h + b$. Do the proteins move towards the
goal? Beside every run stand the **same model left alone** and two kinds of **random sets** of as
many neurons in the same layers, at least twenty of each: any neurons, and neurons that are as
active as the chosen ones and write as much. All use the same random numbers. What counts is the
rank of the chosen set's mean among the means of such sets, with as many chains each: chains of one
set are no independent evidence. The page quotes the kind that the chosen set stands out from less.

**Which neurons.** *By effect* (the default): the derivative of the property expected from the
predicted residues, for all neurons at once. *By correlation* of their activation with the property,
over proteins (what labels amount to) or residue by residue. *By label* or *from the basket*. In our
measurements correlation over proteins is unrelated to effect: neurons found by label do not steer
here at any setting tried. Try it, and see.

**Caveats.** The window is narrow: the paper's (5, 3) is far off what the model ever sees, and
random sets then move as much. Only the 20 amino acids are drawn, the length stays and protected
residues stay (the paper's code lets sequences grow and collapse). Look at what it cost: an entropy
near zero is a repeat, not a protein. **A predictor's confidence is no proof that a protein can be
made**: a heavy chain whose polar residues are replaced by hydrophobic ones still gets 87 of 100.
AntiBERTy and FlashABB know antibodies only.
"""


def main() -> None:
    header(
        "Steer a protein",
        "Do these neurons move what the model makes, and what does it cost?",
        "After arXiv 2507.06458.",
        HOW_TO_READ,
        ("Steering", "Matched random set", "Pseudo-perplexity", "GRAVY", "Basket"),
    )
    if protein_models.choose(("masked",), "masked protein model, which fills in residues"):
        steering.draw()


main()
