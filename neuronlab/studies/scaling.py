"""What larger models know: labels of several models side by side (arXiv 2507.06458).

The paper counts labels by sixths of the layers. A larger model has more neurons and so more
different labels for that alone; hence the counts of different labels in equal samples, and the
spread of a label over the layers beside that of labels dealt out at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Int
from pydantic import Field, field_validator
from scipy.stats import entropy, hypergeom

from neuronlab.cost import Cost
from neuronlab.models.catalogue import entry, revision_of, title_of, use_of
from neuronlab.models.entries import Use
from neuronlab.runs import Context, Result, Spec, Study
from neuronlab.studies.bases.prompts import Described
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, NeuronLabelsStudy, small

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Which models are compared to begin with.
COMPARED = ("antiberty", "esm2-8m")
SEXTILES = ("S1", "S2", "S3", "S4", "S5", "S6")
OTHER = "other"
SAMPLE = 1_000
# Of a label with fewer neurons, the spread says little.
MIN_NEURONS = 5
SHUFFLES = 20


class ScalingSpec(Spec):
    """Which labelled models.

    Attributes:
        labels: how each model is labelled; 2 to 8 different models.
        minimum_correlation: labels that predict the proteins held out less well are left out.
    """

    study: ClassVar[str] = "scaling"

    labels: tuple[NeuronLabelsSpec, ...] = Field(min_length=2, max_length=8)
    minimum_correlation: float = Field(0.0, ge=-1, le=1)

    @field_validator("labels")
    @classmethod
    def _different(cls, labels: tuple[NeuronLabelsSpec, ...]) -> tuple[NeuronLabelsSpec, ...]:
        if len({each.model for each in labels}) < len(labels):
            raise ValueError("choose different models")
        return tuple(map(_with_revision, labels))


def of_models(models: Sequence[str], **settings: Any) -> ScalingSpec:
    """Labels of these models on the same proteins, as few as ``neuron_labels.small`` takes.

    They are antibody germline genes where one of the models knows antibodies alone, else chains
    of the PDB.

    Args:
        settings: of ``NeuronLabelsSpec``, in place of those.
    """
    narrow = {use_of(name).corpus for name in models} - {Use().corpus}
    if len(narrow) == 1:
        settings["corpus"] = narrow.pop()
    specs = [small(name, revision_of(name)).model_copy(update=settings) for name in models]
    return ScalingSpec(labels=tuple(specs))


class ScalingStudy(Study[ScalingSpec]):
    """Counts what neurons of models of different sizes have labels for.

    A neuron counts as labelled where its label reaches the correlation. Tables:

    - ``grid``: model, sextile (of the layers, "S1" the first), group (sequence, structure, an
      annotation's kind, or "other" for labels that name nothing known), neurons, share (of the
      labelled neurons of that sextile; nan where there are none).
    - ``sizes``: model, layers, neurons, labelled, distinct (different labels), distinct_per_1000
      (of them expected in 1,000 random labelled neurons; nan where there are fewer), entropy (of
      the labels, bits), spread (0: every label in one layer, 1: evenly in all; the mean over labels
      of at least 5 neurons of the entropy of their layers, in units of its maximum), spread_control
      (the same with the labels dealt out at random).
    - ``concepts``: model, concept, neurons, share (of the labelled neurons), mean_layer (0: the
      first, 1: the last).

    Numbers: models, and how many concepts all of them have.
    """

    name = "scaling"
    title = "What larger models know"
    spec_type = ScalingSpec
    unit = "models"
    previews = True
    needing = 0.98

    def default(self) -> ScalingSpec:
        """The FFN neurons of the antibody model and of ESM-2, both on antibody germline genes."""
        return ScalingSpec(labels=(NeuronLabelsSpec(), NeuronLabelsSpec(model="esm2-8m")))

    def example(self, model: Described) -> ScalingSpec | None:
        """Few neurons of the same two on few proteins; of the first of them alone."""
        return of_models(COMPARED) if model.name == COMPARED[0] else None

    def needs(self, spec: ScalingSpec) -> list[tuple[Study, NeuronLabelsSpec]]:
        """The labels of every model."""
        return [(NeuronLabelsStudy(), each) for each in spec.labels]

    def cost(self, spec: ScalingSpec, context: Context) -> Cost:
        """That of all labels that are not stored."""
        missing = [labels for labels in spec.labels if not context.stored(labels.key)]
        return Cost(sum(NeuronLabelsStudy().cost(labels, context).seconds for labels in missing))

    def run_shard(self, spec: ScalingSpec, shard: None, context: Context) -> Result:
        """All tables, of the models whose labels are there."""
        models = [each.model for each in spec.labels[: len(context.given)]]
        labels = dict(zip(models, context.given, strict=True))
        counted = {m: _labelled(result, spec.minimum_correlation) for m, result in labels.items()}
        layers = {m: int(result.numbers["layers"]) for m, result in labels.items()}
        groups = sorted({group for rows in counted.values() for group in rows["group"]})
        sizes = []
        for number, (name, result) in enumerate(labels.items()):
            context.progress(number / len(models), f"counting the labels of {name}")
            size = {"model": name, "layers": layers[name], "neurons": len(result.tables["labels"])}
            sizes.append(size | _size(counted[name], layers[name]))
        grids = [_grid(rows, name, layers[name], groups) for name, rows in counted.items()]
        concepts = [_concepts(rows, name, layers[name]) for name, rows in counted.items()]
        everywhere = set.intersection(*(set(table["concept"]) for table in concepts))
        tables = {
            "grid": pd.concat(grids, ignore_index=True),
            "sizes": pd.DataFrame(sizes),
            "concepts": pd.concat(concepts, ignore_index=True),
        }
        return Result({"models": len(models), "shared_concepts": len(everywhere)}, tables)

    def preview(self, spec: ScalingSpec, parts: Sequence[Result], context: Context) -> Result:
        """The first models, while others are labelled."""
        return self.run_shard(spec, None, context)

    def plot(self, spec: ScalingSpec, result: Result) -> go.Figure:
        """What labels name, from the first sixth of each model's layers to the last."""
        from neuronlab.figures.labels import sextiles

        grid = result.tables["grid"]
        return sextiles(grid.assign(model=grid["model"].map(title_of)))


def rarefied(counts: Int[np.ndarray, " label"], sample: int = SAMPLE) -> float:
    """How many different labels to expect among some labelled neurons, drawn without replacement.

    Hurlbert (1971): the sum over labels of the chance that at least one of their neurons is drawn.

    Args:
        counts: neurons of each label.
        sample: how many are drawn; nan where there are fewer.
    """
    total = int(counts.sum())
    if total < sample:
        return float("nan")
    return float(-np.expm1(hypergeom.logpmf(0, total, counts, sample)).sum())


def spread(
    labels: Int[np.ndarray, " neuron"], layer: Int[np.ndarray, " neuron"], layers: int
) -> float:
    """How evenly a label's neurons lie over the layers, from 0 to 1.

    The mean over labels of at least ``MIN_NEURONS`` neurons; nan where there are none.

    Args:
        labels: of each neuron, as a number from 0.
        layer: of each neuron.
        layers: of the model.
    """
    often = np.bincount(labels)[labels] >= MIN_NEURONS
    if layers < 2 or not often.any():
        return float("nan")
    _, rows = np.unique(labels[often], return_inverse=True)
    counts = np.zeros((rows.max() + 1, layers))
    np.add.at(counts, (rows, layer[often]), 1)
    return float(entropy(counts, base=layers, axis=1).mean())


def _with_revision(labels: NeuronLabelsSpec) -> NeuronLabelsSpec:
    """With the revision of the catalogue, so that what a page or a command computed is found."""
    listed = entry(labels.model)
    if labels.revision or listed is None:
        return labels
    return labels.model_copy(update={"revision": listed.revision})


def _labelled(labels: Result, minimum_correlation: float) -> pd.DataFrame:
    rows = labels.tables["labels"]
    rows = rows[(rows["label"] != "") & (rows["correlation"] >= minimum_correlation)]
    return rows.assign(group=rows["group"].replace("", OTHER))


def _grid(rows: pd.DataFrame, name: str, layers: int, groups: Sequence[str]) -> pd.DataFrame:
    sextile = len(SEXTILES) * rows["layer"].to_numpy() // layers
    cells = []
    for number, title in enumerate(SEXTILES):
        of_sextile = rows["group"][sextile == number]
        for group in groups:
            neurons = int((of_sextile == group).sum())
            share = neurons / len(of_sextile) if len(of_sextile) else np.nan
            cells.append((name, title, group, neurons, share))
    return pd.DataFrame(cells, columns=["model", "sextile", "group", "neurons", "share"])


def _size(rows: pd.DataFrame, layers: int) -> dict[str, Any]:
    labels, layer = pd.factorize(rows["label"])[0], rows["layer"].to_numpy()
    counts = np.bincount(labels)
    draw = np.random.default_rng(0)
    shuffled = [spread(draw.permutation(labels), layer, layers) for _ in range(SHUFFLES)]
    return {
        "labelled": len(rows),
        "distinct": len(counts),
        "distinct_per_1000": rarefied(counts),
        "entropy": float(entropy(counts, base=2)) if len(counts) else 0.0,
        "spread": spread(labels, layer, layers),
        "spread_control": float(np.mean(shuffled)),
    }


def _concepts(rows: pd.DataFrame, name: str, layers: int) -> pd.DataFrame:
    by_concept = rows[rows["concept"] != ""].groupby("concept", sort=True)["layer"]
    neurons = by_concept.size()
    return pd.DataFrame(
        {
            "model": name,
            "concept": neurons.index,
            "neurons": neurons.to_numpy(),
            "share": neurons.to_numpy() / max(len(rows), 1),
            "mean_layer": by_concept.mean().to_numpy() / max(layers - 1, 1),
        }
    ).sort_values("neurons", ascending=False, ignore_index=True, kind="stable")
