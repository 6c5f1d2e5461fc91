"""What studies over many facts share: which facts, one shard each, and statistics over them."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import pandas as pd
from pydantic import Field, field_serializer, field_validator

from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.facts import SETS, Fact
from neuronlab.facts.asking import Asked, answered, ask_all, knows, rivals
from neuronlab.models import Model
from neuronlab.neurons import Prediction
from neuronlab.runs import Context, Seed, Spec, Study
from neuronlab.statistics import bootstrap
from neuronlab.studies.bases.prompts import Described, completes_text, one_stream

OWN = "own"
# As many facts a run takes.
MAX_ASKED = 5_000
# What becomes of a run that is stopped, as its cost says it.
NONE_KNOWN = "The model knows none of these facts: choose others, or switch the filter off."


class FactsSpec(Spec):
    """Which facts a model is asked.

    Attributes:
        facts: a set of ``SETS``, or "own" for those in ``own``.
        per_relation: at most as many facts of each relation, drawn at random; None takes all.
        filtered: leave out facts the model does not know (gold among its first ten choices, and
            above the answers of the other facts of its relation that are asked).
        seed: of what is drawn at random.
    """

    model: str = "smollm2-135m"
    revision: str = ""
    facts: str = "six_languages"
    own: tuple[Fact, ...] = Field((), max_length=MAX_ASKED)
    per_relation: int | None = Field(None, ge=1)
    filtered: bool = True
    seed: Seed = 0

    @field_validator("facts")
    @classmethod
    def _there(cls, facts: str) -> str:
        if facts != OWN and facts not in SETS:
            raise ValueError(f"there is no set '{facts}'; there is {', '.join([*SETS, OWN])}")
        return facts

    @field_serializer("own")
    def _as_dictionaries(self, own: tuple[Fact, ...]) -> list[dict[str, Any]]:
        return [asdict(fact) for fact in own]

    def pool(self) -> list[Fact]:
        """All that can be asked, in every wording."""
        return list(self.own) if self.facts == OWN else SETS[self.facts].facts(paraphrases=True)

    def chosen(self, *, paraphrases: bool = False) -> list[Fact]:
        """The facts asked about, in an order of their own; paraphrases follow each other."""
        facts = self.pool()
        if not facts:
            raise UserError("There are no facts: choose a set or upload a file.")
        wordings: dict[str, dict[str, list[Fact]]] = {}
        for fact in facts:
            of_relation = wordings.setdefault(fact.relation, {})
            of_relation.setdefault(fact.title, []).append(fact)
        draw = random.Random(self.seed)
        chosen = []
        for of_relation in wordings.values():
            names = list(of_relation)
            if self.per_relation is not None:
                drawn = set(draw.sample(names, min(self.per_relation, len(names))))
                names = [name for name in names if name in drawn]
            for name in names:
                chosen += of_relation[name] if paraphrases else of_relation[name][:1]
        return chosen


F = TypeVar("F", bound=FactsSpec)


class OverFacts(Study[F]):
    """A study with one shard per fact."""

    unit = "facts"
    previews = True
    # Fields of an example that takes seconds.
    small: ClassVar[Mapping[str, Any]]
    # Whether it adds up what is in one residual stream.
    of_one_stream: ClassVar[bool] = True

    def example(self, model: Described) -> F | None:
        """A few facts, asked of a model that continues or completes text."""
        if not completes_text(model) or (self.of_one_stream and not one_stream(model)):
            return None
        return self.spec_type(model=model.name, revision=model.revision, **self.small)

    def suited(self, model: Model) -> Model:
        """The model, which can be asked.

        Raises:
            UserError: the study adds up what is in one residual stream, and this model has two.
        """
        if self.of_one_stream and model.kind == "seq2seq":
            raise UserError(
                f"{model.title} has two residual streams, an encoder's and a decoder's, and this "
                "study adds up one: choose a model that continues text, or a masked one."
            )
        return model

    def shards(self, spec: F, context: Context) -> list[int]:
        """The numbers of the facts."""
        return list(range(len(spec.chosen())))

    @abstractmethod
    def seconds_each(self, model: Model, spec: F, tokens: int) -> float:
        """What one fact of so many tokens will take."""

    def cost(self, spec: F, context: Context) -> Cost:
        """As if no fact were left out."""
        model = context.model(spec.model, spec.revision)
        facts = spec.chosen()
        text = " ".join(fact.prompt for fact in facts[:20])
        tokens = len(model.tokenizer(text, verbose=False)["input_ids"]) / min(len(facts), 20)
        each = self.seconds_each(model, spec, max(round(tokens), 1))
        seconds = len(self.shards(spec, context)) * each / (1 - self.merging)
        return Cost(seconds, at_most=True, remark=self.kept)


class Questions:
    """The facts of a spec as one model is asked about them."""

    def __init__(self, model: Model, spec: FactsSpec, *, paraphrases: bool = False) -> None:
        self.filtered = spec.filtered
        self.asked = ask_all(model, spec.chosen(paraphrases=paraphrases))

    @classmethod
    def of(cls, model: Model, spec: FactsSpec, *, paraphrases: bool = False) -> Questions:
        """The same, tokenised once for all shards of a run."""
        asked = spec.key, paraphrases
        latest = _LAST.get(model)
        if latest is None or latest[0] != asked:
            latest = _LAST[model] = asked, cls(model, spec, paraphrases=paraphrases)
        return latest[1]

    def answer(self, model: Model, number: int) -> tuple[Asked, Prediction] | str:
        """The fact and what the model says; or why it is left out: "impossible", "unknown"."""
        asked = self.asked[number]
        if asked is None:
            return "impossible"
        asked, prediction = answered(model, asked)
        if self.filtered and not knows(prediction, rivals(asked, self.asked)):
            return "unknown"
        return asked, prediction


# The last questions of each model, for as long as it is loaded.
_LAST: WeakKeyDictionary[Model, tuple[tuple[str, bool], Questions]] = WeakKeyDictionary()


def left_out(states: Sequence[str]) -> str:
    """How many facts were not used, and why, as a sentence; "" where all were."""
    words = {
        "unknown": "the model does not know",
        "impossible": "it cannot be asked (no token for the answer, or its place is not the end)",
    }
    parts = [f"{states.count(s)} that {why}" for s, why in words.items() if s in states]
    return f"Left out: {' and '.join(parts)}." if parts else ""


def metrics(rows: pd.DataFrame, by: list[str], seed: int = 0) -> pd.DataFrame:
    """MRR, mean probability and mean log-probability of the gold token, with 95 % intervals.

    Args:
        rows: columns fact, rank, probability, log_probability, and those of ``by``; one row per
            fact in each group, or several, which are averaged first.
        by: columns that make a group.
    """
    rows = rows.assign(mrr=1 / rows["rank"])
    names = ["mrr", "probability", "log_probability"]
    means = []
    for key, group in rows.groupby(by, sort=False):
        values = group.groupby("fact")[names].mean().to_numpy(float)
        low, high = bootstrap(values, seed)
        row = dict(zip(by, key, strict=True))
        for i, name in enumerate(names):
            row |= {name: values[:, i].mean(), f"{name}_low": low[i], f"{name}_high": high[i]}
        means.append(row)
    return pd.DataFrame(means)
