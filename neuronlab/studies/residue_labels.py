"""A label for every neuron from the secondary structure of the residues at which it is active.

Labels are made from one half of the chains of the PDB and judged on the other, of which no chain is
related to one that explains. The control is the same with the states of each chain shifted along
it, so that neurons that tell all-helical chains from others keep what they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pydantic import Field

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.labels.proteins import EXPLAINED, JUDGED
from neuronlab.labels.residues import CONCEPTS, concepts, correlations, labels
from neuronlab.models import Component
from neuronlab.models.catalogue import use_of
from neuronlab.proteins.families import unrelated
from neuronlab.proteins.labelled import LABELLED, LabelledProtein
from neuronlab.proteins.secondary import three_states
from neuronlab.runs import Context, Result, Seed, Spec, Study
from neuronlab.statistics import seeds
from neuronlab.studies.bases.components import ReadComponents
from neuronlab.studies.bases.prompts import Described

# A neuron follows a concept from this correlation on.
FOLLOWS = 0.3
# MMseqs2's table of relatives begins here.
IDENTITY = 0.3
# Chains that are read in seconds: an example's, and those that a preview is made from.
FEW = 200

Correlations: TypeAlias = dict[Component, Float[np.ndarray, "mark layer _"]]


class ResidueLabelsSpec(Spec):
    """Which neurons, on how many chains.

    Attributes:
        model: a protein model.
        limit: at most as many of the 3,000 chains, drawn at random; None takes all.
        seed: of what is drawn at random.
    """

    study: ClassVar[str] = "residue_labels"

    model: str = "esm2-8m"
    revision: str = ""
    components: ReadComponents = ("ffn",)
    limit: int | None = Field(None, ge=20)
    seed: Seed = 0

    def sides(self) -> dict[str, list[LabelledProtein]]:
        """The chains that explain, and those that judge, in random order.

        A judge that MMseqs2 aligns with a chain that explains, at 30 % identity or more, is left
        out.
        """
        proteins = LABELLED["pdb_enzyme"].proteins
        draw = np.random.default_rng(seeds(self.seed, 2)[0])
        drawn = [proteins[i] for i in draw.permutation(len(proteins))[: self.limit]]
        explained, others = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
        names = {protein.name for protein in explained}
        return {EXPLAINED: explained, JUDGED: unrelated(others, names, IDENTITY)}

    def marks(
        self, sides: dict[str, list[LabelledProtein]]
    ) -> dict[str, list[Bool[np.ndarray, "_ mark"]]]:
        """Of each residue ``CONCEPTS``, and beside them those of a place of its chain further on.

        How far is drawn for each chain; what stands at its end is put at its beginning.
        """
        draw = np.random.default_rng(seeds(self.seed, 2)[1])

        def of(protein: LabelledProtein) -> np.ndarray:
            table = concepts(three_states(protein.secondary))
            shift = int(draw.integers(1, len(table)))
            return np.concatenate([table, np.roll(table, shift, 0)], 1)

        return {side: [of(protein) for protein in proteins] for side, proteins in sides.items()}


class ResidueLabelsStudy(Study[ResidueLabelsSpec]):
    """Finds the secondary structure that each neuron of a protein model follows along the chain.

    Table ``labels``: layer, component, neuron, label, concept, explained and correlation
    (``labels.residues.labels``), and control_correlation: what the label gets that is made and
    judged in the same way from shifted states. Table ``concepts``: concept, residues (its share of
    those that judge), neurons (how many follow it), and the layer, component and neuron of that
    which has the largest correlation with it, either way, on the chains that explain, with three
    correlations as in the arrays. Table ``proteins``: name, sequence, side.

    Arrays per component (concept, layer, neuron): correlations with all concepts, ``explained`` on
    the chains that explain, ``judged`` on those that judge, and ``shifted`` on these with shifted
    states.

    Numbers: explained and judged (chains), residues (of those that judge), neurons, live,
    following (those whose label has a correlation of at least .3 on the chains that judge),
    control_following (the same of the shifted states), and control_most, the largest correlation
    that one of these has.
    """

    name = "residue_labels"
    title = "Neurons that follow secondary structure"
    spec_type = ResidueLabelsSpec

    def default(self) -> ResidueLabelsSpec:
        """All FFN neurons of ESM-2 8M on all chains."""
        return ResidueLabelsSpec()

    def example(self, model: Described) -> ResidueLabelsSpec | None:
        """Some chains, of a model that is of use on chains of the PDB."""
        suits = model.alphabet == "protein" and model.kind == "masked"
        if not suits or use_of(model.name).corpus != "pdb":
            return None
        return small(model.name, model.revision)

    def cost(self, spec: ResidueLabelsSpec, context: Context) -> Cost:
        """One pass over the chains."""
        model = context.model(spec.model, spec.revision)
        chains = [p for proteins in spec.sides().values() for p in proteins]
        tokens = sum(min(len(p.sequence) + 2, model.max_tokens) for p in chains)
        neurons = model.layers * sum(model.sizes[c] for c in spec.components)
        return Cost(seconds(model, tokens, 1, 0) + tokens * neurons * 1e-8)

    def run_shard(self, spec: ResidueLabelsSpec, shard: Any, context: Context) -> Result:
        """The whole study: sums over one half, then over the other."""
        context.progress(0.0, "loading the model")
        model = context.model(spec.model, spec.revision)
        if model.alphabet != "protein":
            raise UserError(f"{model.title} is no protein model: choose one.")
        sides = spec.sides()
        total = len(sides[EXPLAINED]) + len(sides[JUDGED])
        done = 0.0
        if context.previews and total > FEW:
            done = FEW / (FEW + total)
            some = spec.model_copy(update={"limit": FEW})
            few = self.run_shard(some, None, context.part(0.0, done, previews=False))
            read = few.numbers[EXPLAINED] + few.numbers[JUDGED]
            context.preview(few, f"{read} of {total:,} chains")
        marks = spec.marks(sides)
        r, each = {}, (1 - done) / total
        for side, proteins in sides.items():
            share = each * len(proteins)
            reading = partial(context.part(done, share).progress, message="reading activations")
            sequences = [protein.sequence for protein in proteins]
            r[side] = correlations(model, sequences, marks[side], spec.components, reading)
            done += share
        return _result(sides, np.concatenate(marks[JUDGED]), r)


def small(model: str, revision: str) -> ResidueLabelsSpec:
    """Some chains, in seconds."""
    return ResidueLabelsSpec(model=model, revision=revision, limit=FEW)


def following(table: pd.DataFrame) -> pd.DataFrame:
    """Those rows of ``labels`` whose neuron follows its label, the best first."""
    rows = table[table["correlation"] >= FOLLOWS]
    return rows.sort_values("correlation", ascending=False, kind="stable", ignore_index=True)


def _result(
    sides: Mapping[str, Sequence[LabelledProtein]],
    marks: Bool[np.ndarray, "residue mark"],
    r: Mapping[str, Correlations],
) -> Result:
    """What correlations with all marks on both sides say; the marks are those that judge."""
    count = len(CONCEPTS)
    real = {side: {c: values[:count] for c, values in r[side].items()} for side in r}
    shifted = {side: {c: values[count:] for c, values in r[side].items()} for side in r}
    table = labels(real[EXPLAINED], real[JUDGED])
    control = labels(shifted[EXPLAINED], shifted[JUDGED])["correlation"]
    table["control_correlation"] = control
    numbers = {
        **{side: len(proteins) for side, proteins in sides.items()},
        "residues": len(marks),
        "neurons": len(table),
        "live": int((table["label"] != "").sum()),
        "following": len(following(table)),
        "control_following": int((control >= FOLLOWS).sum()),
        "control_most": float(control.max()),
    }
    kept = {**real, "shifted": shifted[JUDGED]}
    rows = pd.DataFrame(_best(kept)).assign(residues=marks[:, :count].mean(0))
    followers = following(table)["concept"].value_counts()
    rows["neurons"] = rows["concept"].map(followers).fillna(0).astype(int)
    chains = [(p.name, p.sequence, side) for side, of in sides.items() for p in of]
    proteins = pd.DataFrame(chains, columns=["name", "sequence", "side"])
    arrays = {
        f"{name}.{c}": values.astype(np.float32)
        for name, of in kept.items()
        for c, values in of.items()
    }
    return Result(numbers, {"labels": table, "concepts": rows, "proteins": proteins}, arrays)


def _best(kept: Mapping[str, Correlations]) -> list[dict[str, Any]]:
    """Of each concept the neuron that follows it most where labels are made, either way."""
    rows = []
    for number, concept in enumerate(CONCEPTS):
        sizes = {c: np.nan_to_num(np.abs(r[number])) for c, r in kept[EXPLAINED].items()}
        component = max(sizes, key=lambda c: sizes[c].max())
        layer, neuron = np.unravel_index(sizes[component].argmax(), sizes[component].shape)
        r = {name: float(of[component][number, layer, neuron]) for name, of in kept.items()}
        place = {"layer": int(layer), "component": component, "neuron": int(neuron)}
        rows.append({"concept": concept, **place, **r})
    return rows
