"""The proteins that drive every neuron up and down (arXiv 2507.06458, first step).

One pass over a corpus, in portions that survive an interruption and may run on several machines.
Some proteins are held out: labels are chosen and judged on those.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from pydantic import Field

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.labels.exemplars import ENDS, KEEP, Exemplars, Pooling, pooled
from neuronlab.labels.proteins import CHOSEN, EXPLAINED, JUDGED
from neuronlab.models import Component
from neuronlab.proteins import corpora, families, features
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.runs import Context, Result, Seed, Spec, Study
from neuronlab.statistics import seeds
from neuronlab.studies.bases.components import ReadComponents

PORTION = 256
# Values of neurons that are held at once.
_HELD = 2**25
# Of a larger corpus, a sample is what exemplars are compared with.
BACKGROUND = 5_000
# With fewer proteins there is nothing to find; fewer held out have no correlation to speak of.
LEAST, LEAST_HELD = 20, 3
_LARGE = 0.1
_DESCRIBED = 256
Drawn = Literal["limit", "sides", "background", "neurons"]
_ALIKE = {
    "families": "relatives of one another",
    "alleles": "alleles of one gene, or have one name,",
    "species": "of one species",
}


class ExemplarsSpec(Spec):
    """Which neurons, on which proteins.

    Attributes:
        model: a protein model.
        corpus: a name of ``corpora.titles()``.
        limit: at most as many proteins, drawn at random; None takes all.
        components: "residual" is what the paper's code labels.
        pooling: of a protein's activations: their mean or maximum over residues, or "cls".
        keep: proteins at either end.
        held_out: proteins, at most a third, of which one half chooses and the other judges labels.
        split: what is held out as a whole: "families" of sequences (``families.families``; no
            judge has a relative among the proteins that explain), "alleles" of one gene or
            "species".
        seed: of what is drawn at random.
    """

    study: ClassVar[str] = "exemplars"
    version: ClassVar[int] = 2

    model: str = "antiberty"
    revision: str = ""
    corpus: str = "germlines"
    limit: int | None = Field(None, ge=LEAST)
    components: ReadComponents = ("ffn",)
    pooling: Pooling = "mean"
    keep: int = Field(KEEP, ge=1, le=200)
    held_out: int = Field(400, ge=2 * LEAST_HELD, le=5_000)
    split: families.Split = "families"
    seed: Seed = 0

    def proteins(self) -> list[AnnotatedProtein]:
        """The proteins, in an order that is always the same."""
        proteins = corpora.proteins(self.corpus)
        if self.limit is None or self.limit >= len(proteins):
            return proteins
        drawn = self.draw("limit").permutation(len(proteins))[: self.limit]
        return [proteins[i] for i in sorted(drawn)]

    def sides(self, proteins: Sequence[AnnotatedProtein]) -> Shaped[np.ndarray, " protein"]:
        """Of each protein: "explained", "chosen" or "judged"; relatives are on one side.

        Groups are dealt out in random order, each to the half with more room, if it fits there.
        Those that would fill more than a tenth of a half come last, so that few groups do not judge
        alone where there are many. What does not fit explains.

        Raises:
            UserError: there are too few proteins, or all are relatives of one another.
        """
        if len(proteins) < LEAST:
            raise UserError(
                f"The corpus has {len(proteins)} proteins and at least {LEAST} are needed: add "
                "some or choose another."
            )
        group = families.groups(proteins, self.split)
        side = np.full(len(proteins), EXPLAINED, dtype=object)
        capacity = min(self.held_out, len(proteins) // 3) // 2
        room = {CHOSEN: capacity, JUDGED: capacity}
        sizes = np.bincount(group)
        members = np.split(np.argsort(group, kind="stable"), sizes.cumsum()[:-1])
        order = self.draw("sides").permutation(len(members))
        for number in order[np.argsort(sizes[order] > _LARGE * capacity, kind="stable")]:
            name = max(room, key=room.__getitem__)
            if len(members[number]) <= room[name]:
                side[members[number]] = name
                room[name] -= len(members[number])
            if not any(room.values()):
                break
        if capacity - max(room.values()) < LEAST_HELD:
            raise UserError(
                f"Too many proteins of the corpus are {_ALIKE[self.split]} to hold some out: add "
                "others, or hold out something else."
            )
        return side

    def draw(self, purpose: Drawn, *which: int) -> np.random.Generator:
        """For what is drawn at random; another purpose or seed has nothing in common with it.

        Args:
            which: the layer, where every layer has a draw of its own.
        """
        purposes = get_args(Drawn)
        each = seeds([self.seed, *which], len(purposes))
        return np.random.default_rng(each[purposes.index(purpose)])


class ExemplarsStudy(Study[ExemplarsSpec]):
    """Finds the proteins that drive every neuron most and least.

    Arrays per component: ``top``, ``bottom`` (layer, neuron, kept) activations, ``top_at`` and
    ``bottom_at`` rows of the table, ``mean`` and ``sd`` (layer, neuron), ``held`` (protein, layer,
    neuron) float16 activations of held-out proteins, in the order of the table. Table ``proteins``:
    name, sequence, annotations, side, background (whether exemplars are compared with it), nearest
    (of those held out: the largest share of words of six residues in common with a protein that
    explains) and one column per feature, for the proteins that are exemplars, held out or
    background. Numbers: proteins seen, those that explain, and how many were cut.
    """

    name = "exemplars"
    title = "What drives every neuron"
    spec_type = ExemplarsSpec
    unit = "portions"
    # No previews: it has no page, and extremes of the first portion are not those of the corpus.
    merging = 0.1
    streams = True
    distributed = True

    def default(self) -> ExemplarsSpec:
        """FFN neurons of the antibody model on germline genes."""
        return ExemplarsSpec()

    def shards(self, spec: ExemplarsSpec, context: Context) -> list[int]:
        """Where each portion begins."""
        proteins = spec.proteins()
        spec.sides(proteins)  # fails at once where it must
        return list(range(0, len(proteins), PORTION))

    def cost(self, spec: ExemplarsSpec, context: Context) -> Cost:
        """One pass over the corpus."""
        model = context.model(spec.model, spec.revision)
        tokens = sum(min(len(p.sequence) + 2, model.max_tokens) for p in spec.proteins())
        return Cost(seconds(model, tokens, 1, 0), remark=self.kept)

    def run_shard(self, spec: ExemplarsSpec, shard: int, context: Context) -> Result:
        """Extremes and moments of a portion, and the activations of those held out."""
        model = context.model(spec.model, spec.revision)
        if model.alphabet != "protein":
            raise UserError(f"{model.title} is no protein model: choose one.")
        proteins = spec.proteins()
        side = spec.sides(proteins)
        rows = range(shard, min(shard + PORTION, len(proteins)))
        neurons = model.layers * sum(model.sizes[c] for c in spec.components)
        step = max(1, min(PORTION, _HELD // neurons))
        exemplars = {c: Exemplars(spec.keep) for c in spec.components}
        held: dict[Component, list[np.ndarray]] = {c: [] for c in spec.components}
        for start in range(0, len(rows), step):
            part = list(rows[start : start + step])
            residues = set(model.residues)
            sequences = [_in_alphabet(proteins[i].sequence, residues) for i in part]
            share = context.part(start / len(rows), len(part) / len(rows))
            reading = partial(share.progress, message="reading activations")
            seen = pooled(model, sequences, spec.components, spec.pooling, reading)
            explained = [k for k, i in enumerate(part) if side[i] == EXPLAINED]
            others = [k for k, i in enumerate(part) if side[i] != EXPLAINED]
            for c, activations in seen.items():
                if explained:
                    exemplars[c].add([part[k] for k in explained], activations[explained])
                held[c].append(activations[others].half().numpy(force=True))
        arrays: dict[str, np.ndarray] = {}
        for c in spec.components:
            if exemplars[c].proteins:
                arrays |= exemplars[c].arrays(c)
            arrays[f"held.{c}"] = np.concatenate(held[c])
        cut = sum(len(proteins[i].sequence) > model.max_tokens - 2 for i in rows)
        numbers = {"proteins": exemplars[spec.components[0]].proteins, "cut": cut}
        return Result(numbers, arrays=arrays)

    def merge(self, spec: ExemplarsSpec, parts: Sequence[Result], context: Context) -> Result:
        """All portions together, and what is known of the proteins that matter."""
        exemplars = {c: Exemplars(spec.keep) for c in spec.components}
        held: dict[Component, list[np.ndarray]] = {c: [] for c in spec.components}
        cut = 0
        for number, part in enumerate(parts):
            context.progress(0.5 * number / len(parts), "joining the portions")
            count = part.numbers["proteins"]
            cut += part.numbers["cut"]
            for c in spec.components:
                held[c].append(part.arrays[f"held.{c}"])
                if count:
                    exemplars[c].join(Exemplars.of(part.arrays, c, spec.keep, count))
        proteins = spec.proteins()
        side = spec.sides(proteins)
        explained = np.flatnonzero(side == EXPLAINED)
        background = spec.draw("background").permutation(explained)[:BACKGROUND]
        kept = {c: exemplars[c].arrays(c) for c in spec.components}
        ends = [kept[c][f"{end}_at.{c}"].ravel() for c in spec.components for end in ENDS]
        shown = np.unique(np.concatenate([background, np.flatnonzero(side != EXPLAINED), *ends]))
        table = pd.DataFrame(
            {
                "name": [proteins[i].name for i in shown],
                "sequence": [proteins[i].sequence for i in shown],
                "annotations": [list(proteins[i].annotations) for i in shown],
                "side": side[shown],
                "background": np.isin(shown, background),
            }
        )
        table["nearest"] = families.nearest(
            [protein.sequence for protein in proteins], side == EXPLAINED
        )[shown]
        described = []
        for start in range(0, len(shown), _DESCRIBED):
            context.progress(0.5 + 0.5 * start / len(shown), "computing features")
            some = [proteins[i] for i in shown[start : start + _DESCRIBED]]
            described.append(features.table(some).astype(np.float32))
        table = pd.concat([table, pd.concat(described, ignore_index=True)], axis=1)
        arrays: dict[str, np.ndarray] = {}
        for c in spec.components:
            for end in ENDS:
                arrays[f"{end}.{c}"] = kept[c][f"{end}.{c}"]
                at = np.searchsorted(shown, kept[c][f"{end}_at.{c}"])
                arrays[f"{end}_at.{c}"] = at.astype(np.int32)
            arrays |= {f"mean.{c}": exemplars[c].mean, f"sd.{c}": exemplars[c].sd}
            arrays[f"held.{c}"] = np.concatenate(held[c])
        numbers = {"proteins": len(proteins), "explained": len(explained), "cut": cut}
        return Result(numbers, {"proteins": table}, arrays)


def _in_alphabet(sequence: str, letters: set[str]) -> str:
    """The sequence with X for residues that the model does not know (or without them)."""
    if letters.issuperset(sequence):
        return sequence
    other = "X" if "X" in letters else ""
    return "".join(letter if letter in letters else other for letter in sequence)
