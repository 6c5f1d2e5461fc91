"""Every substitution of a protein, as a masked model sees it (Meier et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float32

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.models.residues import AMINO_ACIDS, clean_sequence
from neuronlab.proteins.mutations import mutation_map, mutation_table
from neuronlab.proteins.sequences import TRASTUZUMAB_VH
from neuronlab.runs import Context, Result, Spec, Study
from neuronlab.studies.bases.prompts import Described, first_prompt

if TYPE_CHECKING:
    import plotly.graph_objects as go


class MutationsSpec(Spec):
    """Which protein, on which model.

    Attributes:
        text: the protein in one-letter codes.
    """

    study: ClassVar[str] = "mutations"

    model: str
    revision: str = ""
    text: str


class MutationsStudy(Study[MutationsSpec]):
    """Compares every residue that could stand at a position with the one that stands there.

    Array ``log_odds`` (residue, 20): log p(mutant) - log p(wild type) with the position hidden, in
    the order of ``AMINO_ACIDS``. Table ``mutations``: the same in rows, see ``mutation_table``.
    Numbers: ``sequence``, and ``preferred``: at how many positions another residue is the first
    choice.
    """

    name = "mutations"
    title = "Every mutation of a protein"
    spec_type = MutationsSpec

    def default(self) -> MutationsSpec:
        """The heavy chain of trastuzumab on the model of antibodies."""
        return MutationsSpec(model="antiberty", text=TRASTUZUMAB_VH)

    def example(self, model: Described) -> MutationsSpec | None:
        """The protein of the model's first prompt."""
        if model.kind != "masked" or model.alphabet != "protein":
            return None
        text = first_prompt(model)["text"]
        return MutationsSpec(model=model.name, revision=model.revision, text=text)

    def cost(self, spec: MutationsSpec, context: Context) -> Cost:
        """A pass of the protein for each of its residues."""
        model = context.model(spec.model, spec.revision)
        tokens = len(model.residue_ids(spec.text))
        return Cost(seconds(model, tokens, tokens, tokens))

    def run_shard(self, spec: MutationsSpec, shard: Any, context: Context) -> Result:
        """The whole study: one protein is one shard."""
        context.progress(0.0, "loading the model")
        model = context.model(spec.model, spec.revision)
        if context.previews:
            seen = _result(spec, mutation_map(model, spec.text, hidden=False))
            words = "from one pass with nothing hidden, in which each residue speaks for itself"
            context.preview(seen, f"{words}; the map with each hidden in turn will replace it")
        return _result(spec, mutation_map(model, spec.text, progress=context.progress))

    def plot(self, spec: MutationsSpec, result: Result) -> go.Figure:
        """Log-odds of every residue at every position."""
        from neuronlab.figures.charts import matrix

        names = [f"{residue}{i}" for i, residue in enumerate(result.numbers["sequence"], 1)]
        table = pd.DataFrame(result.arrays["log_odds"], names, list(AMINO_ACIDS))
        return matrix(table.T, "log-odds", signed=True)


def _result(spec: MutationsSpec, log_odds: Float32[np.ndarray, "residue 20"]) -> Result:
    sequence = clean_sequence(spec.text)
    numbers = {"sequence": sequence, "preferred": int((log_odds.max(1) > 0).sum())}
    tables = {"mutations": mutation_table(sequence, log_odds)}
    return Result(numbers, tables, {"log_odds": log_odds})
