"""Train the paper's simulator on labels that there are (arXiv 2507.06458).

A Longformer reads a hypothesis and a protein and tells the activation in eleven classes. It is told
by its correlation on neurons and proteins that it has never seen; the paper's code splits examples,
so that both sides know the same neurons.

These proteins are exemplars: the labels were made from them, and they are the two ends of each
neuron. The correlation is therefore about explained proteins, and no measure of a label. That is
``correlation`` of a study of labels that takes the simulator, over the proteins held out there.
"""

from __future__ import annotations

import shutil
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from neuronlab import home
from neuronlab.cost import Cost
from neuronlab.labels import longformer, longformer_training
from neuronlab.runs import Context, Result, Seed, Spec, Study
from neuronlab.statistics import seeds
from neuronlab.studies.exemplars import ExemplarsSpec, ExemplarsStudy
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, NeuronLabelsStudy, examples

_PAPER = longformer.Settings()


class LabelSimulatorSpec(Spec):
    """Which labels, which base, and the paper's settings.

    Attributes:
        labels: whose hypotheses are learned.
        base: a hub id, or the folder of a Longformer.
        share: of the labelled neurons; the paper's one in fifty.
        top, bottom: proteins of each neuron at either end.
    """

    study: ClassVar[str] = "label_simulator"
    version: ClassVar[int] = 2

    labels: NeuronLabelsSpec = NeuronLabelsSpec()
    base: str = longformer.BASE
    share: float = Field(0.02, gt=0, le=1)
    top: int = Field(6, ge=1, le=200)
    bottom: int = Field(2, ge=0, le=200)
    epochs: int = Field(_PAPER.epochs, ge=1, le=1000)
    batch: int = Field(_PAPER.batch, ge=1, le=256)
    rate: float = Field(_PAPER.rate, gt=0, le=1)
    tokens: int = Field(_PAPER.tokens, ge=16, le=4096)
    variant: longformer.Variant = "neuronlab"
    seed: Seed = 0


class LabelSimulatorStudy(Study[LabelSimulatorSpec]):
    """Trains a model that foretells activations from labels, kept for studies of labels.

    Numbers: r (mean over held-out neurons, each on proteins of its two ends, from which its label
    was made), neurons, pairs, folder. Tables: ``curve`` (step, epoch, loss, test_r: that mean after
    each epoch), ``neurons`` (neuron, r).
    """

    name = "label_simulator"
    title = "Train a simulator of neurons"
    spec_type = LabelSimulatorSpec
    # No previews: until it is trained there is the curve, which is shown as it grows (`record`).
    needing = 0.2

    def default(self) -> LabelSimulatorSpec:
        """The paper's, on the labels of the antibody model; it needs the hub, and a GPU."""
        return LabelSimulatorSpec()

    def needs(
        self, spec: LabelSimulatorSpec
    ) -> list[tuple[Study, NeuronLabelsSpec | ExemplarsSpec]]:
        """Labels, and the proteins they are made from."""
        return [
            (NeuronLabelsStudy(), spec.labels),
            (ExemplarsStudy(), spec.labels.exemplars),
        ]

    def cost(self, spec: LabelSimulatorSpec, context: Context) -> Cost:
        """Labels aside, 22 s for a text of 1,536 tokens forth and back on one CPU core."""
        model = context.model(spec.labels.model, spec.labels.revision)
        neurons = model.layers * sum(model.sizes[c] for c in spec.labels.components)
        texts = neurons * spec.share * (spec.top + spec.bottom) * spec.epochs
        return Cost(texts * 22 * spec.tokens / 1536)

    def run_shard(self, spec: LabelSimulatorSpec, shard: None, context: Context) -> Result:
        """Pairs, training, and the folder."""
        labels, exemplars = context.given
        pairs = self.pairs(spec, labels.tables["labels"], exemplars)
        settings = longformer.Settings(
            epochs=spec.epochs,
            batch=spec.batch,
            rate=spec.rate,
            tokens=spec.tokens,
            variant=spec.variant,
            seed=spec.seed,
        )
        trained = longformer_training.train(
            pairs,
            base=spec.base,
            settings=settings,
            device=context.device,
            check=context.check,
            progress=context.progress,
            record=context.record,
        )
        folder = home.folder() / "simulators" / spec.key
        shutil.rmtree(folder, ignore_errors=True)  # of a run that ended before its result was kept
        longformer.save(trained.simulator, folder)
        r = pd.Series(trained.r, dtype=float)
        numbers = {
            "r": float(r.mean()),
            "neurons": len({pair.neuron for pair in pairs}),
            "pairs": len(pairs),
            "folder": str(folder),
        }
        tables = {
            "curve": pd.DataFrame(trained.curve),
            "neurons": pd.DataFrame({"neuron": list(r.index), "r": r.to_numpy()}),
        }
        return Result(numbers, tables)

    def pairs(
        self, spec: LabelSimulatorSpec, labels: pd.DataFrame, exemplars: Result
    ) -> list[longformer.Pair]:
        """Both ends of some labelled neurons, drawn at random."""
        named = labels[labels["label"] != ""].reset_index(drop=True)
        count = max(2, round(spec.share * len(named)))
        draw = np.random.default_rng(seeds(spec.seed, 1)[0])
        drawn = draw.permutation(len(named))[:count]
        return [
            longformer.Pair(f"{row.layer}.{row.component}.{row.neuron}", row.label, protein)
            for row in named.iloc[np.sort(drawn)].itertuples()
            for end, each in (("top", spec.top), ("bottom", spec.bottom))
            for protein in examples(exemplars, row.component, row.layer, row.neuron, each, end)
        ]
