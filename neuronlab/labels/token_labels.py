"""Labels from the words at the places where a neuron is most positive, before and after them.

Such a label ("at “dog”", "right after “of”") predicts where the neuron is active: it is judged by
its correlation with the activations on texts that had no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.stats import binom
from torch import Tensor

from neuronlab.labels.contexts import counted
from neuronlab.labels.reading import visit
from neuronlab.models import Component, Model
from neuronlab.models.hooks import Neurons
from neuronlab.progress import Fraction, unheard

# Where a word stands, seen from the token at which the neuron is active: and the other way round.
ROLES = {"at": "at", "before": "right after", "after": "right before"}
LEVEL = 0.05
# Words that a label names at most.
_NAMED = 3
# Tokens that must bear a label's words, so that a correlation says something.
FEW = 5
# No word stands there: before the first token that counts, and after the last.
NOTHING = -1

Array = np.ndarray


@dataclass(frozen=True)
class TokenLabel:
    """What a neuron's places have in common.

    Attributes:
        role: a key of ``ROLES``; "" where nothing is in common beyond chance.
        words: numbers of the words, the most frequent first.
        p: of the first word's count, after Bonferroni's correction for all words and roles.
    """

    role: str = ""
    words: tuple[int, ...] = ()
    p: float = 1.0

    def text(self, vocabulary: Sequence[str]) -> str:
        """In words; "" where there is none."""
        # What is nothing but spaces is one word, too.
        named = ", ".join(f"“{vocabulary[word] or '␣'}”" for word in self.words[:_NAMED])
        return f"{ROLES[self.role]} {named}" if self.role else ""


def standing(ids: Int[Array, " token"], of_token: Int[Array, " vocabulary"], role: str) -> Array:
    """The word that stands at, before or after each token of a text; ``NOTHING`` at its ends."""
    words = of_token[ids]
    if role == "before":
        return np.concatenate([[NOTHING], words[:-1]])
    if role == "after":
        return np.concatenate([words[1:], [NOTHING]])
    return words


def frequencies(
    ids: Sequence[list[int]], of_token: Int[Array, " vocabulary"], some: slice
) -> dict[str, Int[Array, " word"]]:
    """By role how many tokens of some texts each word stands at, before or after.

    Args:
        some: the tokens of a text that count.
    """
    size = int(of_token.max()) + 1
    counts = {}
    for role in ROLES:
        there = np.concatenate([standing(np.array(row), of_token, role)[some] for row in ids])
        counts[role] = np.bincount(there[there != NOTHING], minlength=size)
    return counts


def token_labels(
    standing_there: dict[str, Int[Array, "neuron kept"]], frequency: Float[Array, " word"]
) -> list[TokenLabel]:
    """The label of each neuron: the role and words whose count is least to be had by chance.

    Args:
        standing_there: by role the words at each neuron's places; ``NOTHING`` does not count.
        frequency: of each word among all tokens of the texts.

    A label names every word that stands in that role at two places at least, and the first of them
    must be found at a p below .05 (binomial, corrected for all words and roles).
    """
    tests = len(ROLES) * np.count_nonzero(frequency)
    best: list[TokenLabel] = []
    for neuron in range(len(next(iter(standing_there.values())))):
        label = TokenLabel()
        for role, there in standing_there.items():
            of_neuron = there[neuron][there[neuron] != NOTHING]
            word, first, count = np.unique(of_neuron, return_index=True, return_counts=True)
            order = np.lexsort([first, -count])
            repeated = word[order][count[order] > 1]
            if not len(repeated):
                continue
            chance = binom.sf(count.max() - 1, len(of_neuron), frequency[repeated[0]])
            p = min(1.0, float(chance * tests))
            if p < min(label.p, LEVEL):
                label = TokenLabel(role, tuple(repeated.tolist()), p)
        best.append(label)
    return best


class Judge:
    """Correlations of the labels of one component with activations, from sums alone."""

    def __init__(self, labels: Sequence[Sequence[TokenLabel]], vocabulary: int) -> None:
        """Nothing seen yet.

        Args:
            labels: of each layer's neurons.
            vocabulary: how many words there are.
        """
        self._bearing = [_matrix(of_layer, vocabulary) for of_layer in labels]
        self._vocabulary = vocabulary
        shape = (len(labels), len(labels[0]))
        names = ("active", "squares", "bearing", "both")
        self._sums = {name: np.zeros(shape) for name in names}
        self._tokens = np.zeros(len(labels), int)

    def add(
        self,
        layer: int,
        active: Float[Tensor, "token neuron"],
        standing_there: dict[str, Int[Array, " token"]],
    ) -> None:
        """Some more tokens, as one layer sees them; of each the words that stand there, by role."""
        bearing = torch.from_numpy(
            sum(
                self._bearing[layer][self._row(role, words)]
                for role, words in standing_there.items()
            ).toarray()
        )
        values = active.float().cpu()
        self._sums["active"][layer] += values.double().sum(0).numpy(force=True)
        self._sums["squares"][layer] += values.double().square().sum(0).numpy(force=True)
        self._sums["bearing"][layer] += bearing.double().sum(0).numpy(force=True)
        self._sums["both"][layer] += (values * bearing).double().sum(0).numpy(force=True)
        self._tokens[layer] += len(values)

    @property
    def bearing(self) -> Float[Array, "layer neuron"]:
        """How many tokens bore a label's words."""
        return self._sums["bearing"]

    @property
    def correlation(self) -> Float[Array, "layer neuron"]:
        """Pearson's, of activation and whether the words stand there; nan where few bore them."""
        n = self._tokens[:, None]
        mean, share = self._sums["active"] / n, self._sums["bearing"] / n
        variance = self._sums["squares"] / n - mean**2
        spread = np.sqrt(np.maximum(variance, 0) * share * (1 - share))
        covariance = self._sums["both"] / n - mean * share
        judged = (self.bearing >= FEW) & (spread > 0)
        return np.divide(covariance, spread, out=np.full(spread.shape, np.nan), where=judged)

    def _row(self, role: str, words: Int[Array, " token"]) -> Int[Array, " token"]:
        """Rows of the matrix; the last is of no word."""
        begin = list(ROLES).index(role) * self._vocabulary
        return np.where(words == NOTHING, len(ROLES) * self._vocabulary, begin + words)


def judge(
    model: Model,
    ids: Sequence[list[int]],
    of_token: Int[Array, " vocabulary"],
    judges: Sequence[dict[Component, Judge]],
    progress: Fraction = unheard,
) -> None:
    """Show texts that had no part in labels to those who judge them, in one pass.

    Args:
        ids: the tokens of each text.
        of_token: the word that each token is.
        progress: called with a fraction after every batch; an exception it raises ends the work.
    """
    by_role = {role: [standing(np.array(row), of_token, role) for row in ids] for role in ROLES}

    def see(
        rows: list[int], layer: int, component: Component, neurons: Neurons, counting: Tensor
    ) -> None:
        seen = counting.numpy(force=True)
        there = {
            role: np.concatenate(
                [words[row][seen[at, : len(ids[row])]] for at, row in enumerate(rows)]
            )
            for role, words in by_role.items()
        }
        for each in judges:
            each[component].add(layer, neurons[counting], there)

    visit(model, ids, counted(model), list(judges[0]), see, progress)


def _matrix(labels: Sequence[TokenLabel], vocabulary: int) -> csr_array:
    """(role and word, neuron): whether a neuron's label names a word in that role."""
    at = [
        (list(ROLES).index(label.role) * vocabulary + word, neuron)
        for neuron, label in enumerate(labels)
        for word in label.words
    ]
    row, column = np.array(at, int).reshape(-1, 2).T
    shape = (len(ROLES) * vocabulary + 1, len(labels))
    return csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
