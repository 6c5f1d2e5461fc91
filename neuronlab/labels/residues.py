"""Which secondary structure each neuron follows, residue by residue.

InterPLM labels features of sparse autoencoders so (Simon, Zou 2024,
doi:10.1101/2024.11.14.623630), by F1 at a threshold. Here it is neurons, by correlation: that needs
sums alone, which are products of matrices, in one pass over the proteins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuronlab.labels.reading import protein_ids, visit
from neuronlab.models import Component, Model
from neuronlab.models.hooks import Neurons
from neuronlab.progress import Fraction, unheard

CONCEPTS = (
    "helix", "helix start", "helix end", "strand", "strand start", "strand end", "coil",
)  # fmt: skip
_NAMES = {"H": "helix", "E": "strand", "-": "coil"}
# Of a helix and a strand: how many residues are its start or end, and how many it has at least.
_ENDS = {"H": (3, 6), "E": (2, 3)}
# A neuron that varies less is taken for one that never does.
_SILENT = 1e-6

Array = np.ndarray


def concepts(states: str) -> Bool[Array, "residue concept"]:
    """Which of ``CONCEPTS`` each residue of a chain is.

    A helix, strand or coil is each residue in that state, however few stand together. "Helix start"
    and "helix end" are the first and the last 3 residues of a helix of at least 6; "strand start"
    and "strand end" the first and the last 2 of a strand of at least 3, whose middle residue, where
    there are just 3, is both. A helix or strand is what stands between residues of other states,
    also where the chain begins or ends.

    Args:
        states: H, E or - for each residue (``proteins.secondary.three_states``).
    """
    table = np.zeros((len(states), len(CONCEPTS)), bool)
    begin = 0
    for state, run in groupby(states):
        end = begin + len(list(run))
        column = CONCEPTS.index(_NAMES[state])
        table[begin:end, column] = True
        count, least = _ENDS.get(state, (0, 0))
        if count and end - begin >= least:
            table[begin : begin + count, column + 1] = True
            table[end - count : end, column + 2] = True
        begin = end
    return table


def correlations(
    model: Model,
    sequences: Sequence[str],
    marks: Sequence[Bool[Array, "_ mark"]],
    components: Sequence[Component],
    progress: Fraction = unheard,
) -> dict[Component, Float[Array, "mark layer _"]]:
    """Pearson's, of every neuron's activation with every mark, over the residues of all proteins.

    nan where the neuron or the mark is the same at all residues.

    Args:
        sequences: longer ones are cut to what the model takes, and so are their marks.
        marks: of each sequence, which of its residues bear which mark.
        progress: called with a fraction after every batch; an exception it raises ends the work.

    Raises:
        UserError: a sequence has a residue that the model does not know.
    """
    cut = [torch.from_numpy(of[: model.max_tokens - 2]).double() for of in marks]
    columns = cut[0].shape[1]
    products = {
        c: torch.zeros(columns, model.layers, model.sizes[c], dtype=torch.float64, device="cpu")
        for c in components
    }
    first = {c: torch.zeros_like(products[c][0]) for c in components}
    second = {c: torch.zeros_like(products[c][0]) for c in components}

    def add(
        rows: list[int], layer: int, component: Component, neurons: Neurons, residues: Tensor
    ) -> None:
        # In double precision on the processor, since not every device has it.
        active = neurons[residues].float().cpu().double()
        products[component][:, layer] += torch.cat([cut[row] for row in rows]).T @ active
        first[component][layer] += active.sum(0)
        second[component][layer] += active.square().sum(0)

    visit(model, protein_ids(model, sequences), model.residues_at, components, add, progress)
    count = sum(map(len, cut))
    marked = torch.stack([of.sum(0) for of in cut]).sum(0)[:, None, None] / count
    of_component = {}
    for c in components:
        mean = first[c] / count
        variance = second[c] / count - mean**2
        variance[variance < _SILENT**2] = torch.nan
        spread = (variance * (marked * (1 - marked)).where(marked < 1, torch.nan)).sqrt()
        r = (products[c] / count - marked * mean) / spread
        of_component[c] = r.where(spread > 0, torch.nan).numpy(force=True)
    return of_component


def labels(
    explained: Mapping[Component, Float[Array, "concept layer _"]],
    judged: Mapping[Component, Float[Array, "concept layer _"]],
) -> pd.DataFrame:
    """The concept that each neuron follows most, either way, and how well it does elsewhere.

    Args:
        explained: correlations with ``CONCEPTS`` on the proteins that labels are made from.
        judged: the same on others.

    Returns:
        Columns layer, component, neuron, label ("helix start", or "not helix start" where the
        neuron is less active there; "" where it never varies), concept (without the "not"),
        explained and correlation: with the label, on the proteins it is made from and on the
        others. The former is never negative.
    """
    tables = []
    for component, r in explained.items():
        size = np.nan_to_num(np.abs(r), nan=-1.0)
        best = size.argmax(0)[None]
        sign = np.where(np.take_along_axis(r, best, 0) < 0, -1, 1)
        concept = np.where(size.max(0) < 0, "", np.array(CONCEPTS, object)[best[0]])
        layer, neuron = np.indices(concept.shape)
        columns = {
            "layer": layer,
            "component": np.full(concept.shape, component, object),
            "neuron": neuron,
            "label": np.where(sign[0] < 0, "not ", "").astype(object) + concept,
            "concept": concept,
            "explained": sign * np.take_along_axis(r, best, 0),
            "correlation": sign * np.take_along_axis(judged[component], best, 0),
        }
        tables.append(pd.DataFrame({name: values.ravel() for name, values in columns.items()}))
    return pd.concat(tables, ignore_index=True)
