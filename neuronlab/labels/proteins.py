"""The proteins that labels are made from, chosen and judged on, as numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neuronlab.labels import prompts, traits
from neuronlab.labels.simulation import Hypothesis
from neuronlab.labels.statistics import Explainer
from neuronlab.labels.traits import Traits
from neuronlab.proteins.families import ALIKE
from neuronlab.proteins.features import FEATURES

STATISTICS = "statistics"
# What a protein is for: it explains neurons, or is held out to choose or to judge their labels.
EXPLAINED, CHOSEN, JUDGED = "explained", "chosen", "judged"
# What an explainer reads: more features would drown the few that matter.
READ = (
    "length",
    "molecular_weight",
    "charge",
    "isoelectric_point",
    "gravy",
    "instability_index",
    "aliphatic_index",
    "boman_index",
    "hydrophobic_moment",
    "aromaticity",
    "helix_propensity",
    "turn_propensity",
    "sheet_propensity",
    "dssp_helix",
    "dssp_strand",
)
_STRUCTURE = ("helix_propensity", "turn_propensity", "sheet_propensity", "hydrophobic_moment")


class DescribedProteins:
    """What exemplars say of their proteins, ready for tests and simulations.

    Attributes:
        traits: of all proteins of the table.
        standard: the traits of those held out, in standard deviations of the background.
        side: "chosen" or "judged", of those held out.
        related: which of those held out have a relative among the proteins that explain.
        texts: those held out, in words.
        held: those held out, as a trained simulator reads them.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        """Find the traits, and rank the proteins by them.

        Args:
            table: ``proteins`` of the exemplars.
        """
        features = table[[name for name in FEATURES if name in table]]
        titles = {name: feature.title for name, feature in FEATURES.items()}
        annotations = [list(map(str, words)) for words in table["annotations"]]
        background = table["background"].to_numpy(bool)
        self.traits: Traits = traits.traits(features, annotations, titles, among=background)
        self.explainer = Explainer(self.traits, background)
        standard = self.traits.standard(background)
        held = (table["side"] != EXPLAINED).to_numpy()
        self.standard = standard[held]
        self.side = table["side"].to_numpy()[held]
        self.related = table["nearest"].to_numpy()[held] >= ALIKE
        rows = np.flatnonzero(held)
        self.texts = [_words(annotations[row], standard[row], self.traits) for row in rows]
        self.held = [example(table.iloc[row], float("nan")) for row in rows]

    def hypothesis(self, terms: tuple[tuple[int, int], ...]) -> Hypothesis:
        """Traits, by number and sign, as a hypothesis of the built-in explainer."""
        text = " and ".join(
            traits.words(self.traits.titles[t], sign, binary=bool(self.traits.binary[t]))
            for t, sign in terms
        )
        named = tuple((self.traits.names[t], sign) for t, sign in terms)
        return Hypothesis(text, STATISTICS, named)


def example(row: pd.Series, activation: float) -> prompts.Example:
    """A row of the exemplars' ``proteins``, as an explainer and a trained simulator read it."""
    return prompts.Example(
        row["name"],
        row["sequence"],
        activation,
        {name: float(row[name]) for name in READ},
        tuple(map(str, row["annotations"])),
    )


def group(name: str) -> str:
    """What a trait is about: "sequence", "structure", or the annotation's kind."""
    if name in FEATURES:
        structural = name in _STRUCTURE or name.startswith("dssp_")
        return "structure" if structural else "sequence"
    return name.split(": ")[0]


def _words(annotations: Sequence[str], standard: np.ndarray, vocabulary: Traits) -> str:
    """A protein as a label would describe it: its annotations and what is unusual about it."""
    unusual = [
        traits.words(vocabulary.titles[t], 1 if standard[t] > 0 else -1, binary=False)
        for t in np.argsort(-np.abs(standard))
        if not vocabulary.binary[t] and abs(standard[t]) > 1
    ]
    return "; ".join([*annotations[:10], *unusual[:6]])
