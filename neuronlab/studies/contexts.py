"""The texts that drive every neuron of a language model most, either way, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pydantic import Field

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.labels import wordnet
from neuronlab.labels.contexts import ENDS, Contexts, contexts, token_ids
from neuronlab.runs import Context, Result, Seed, Spec, Study
from neuronlab.statistics import seeds
from neuronlab.studies.bases.components import ReadComponents
from neuronlab.studies.bases.precision import Products
from neuronlab.studies.bases.prompts import Described

PORTION = 2_048
# Of the texts, so many judge labels and drive no neuron.
JUDGING = 0.1
LEAST_TEXTS = 100
# A text has so many tokens, roughly: what a run costs is said before anything is read.
_TOKENS = 21


class ContextsSpec(Spec):
    """Which neurons, on how many texts.

    Attributes:
        model: a language model.
        limit: at most as many texts, drawn at random; None takes all.
        keep: places kept of every neuron where it is most positive.
        seed: of what is drawn at random.
        precision: of the products. With "bfloat16" they take less than half the time where the
            processor has it, and of places that are nearly equal another may be kept.
    """

    study: ClassVar[str] = "contexts"

    model: str = "smollm2-135m"
    revision: str = ""
    limit: int | None = Field(None, ge=LEAST_TEXTS)
    components: ReadComponents = ("ffn",)
    keep: int = Field(5, ge=3, le=20)
    seed: Seed = 0
    precision: Products = "float32"

    @property
    def contexts(self) -> ContextsSpec:
        """The places alone, which labels are made from."""
        return ContextsSpec(**{name: getattr(self, name) for name in ContextsSpec.model_fields})

    @property
    def texts(self) -> list[str]:
        """WordNet's definitions, in an order that is always the same."""
        return list(_drawn(self.limit, self.seed))

    def judging(self, count: int) -> Bool[np.ndarray, " text"]:
        """Which of the texts judge labels: a tenth, drawn at random."""
        draw = np.random.default_rng(seeds(self.seed, 2)[1])
        return np.isin(np.arange(count), draw.permutation(count)[: int(JUDGING * count)])


class ContextsStudy(Study[ContextsSpec]):
    """Finds the places at which every neuron of a language model is most positive and negative.

    Arrays per component (layer, neuron, kept), at both ends, "top" and "bottom", the most extreme
    first: ``{end}_value`` activations, ``{end}_text`` rows of the table, ``{end}_token`` the
    tokens' places in these. A text counts once for each neuron. Table ``texts``: text, of those
    that occur in the arrays. Numbers: texts and tokens read.
    """

    name = "contexts"
    title = "Where every neuron is active"
    spec_type = ContextsSpec
    unit = "portions"
    merging = 0.05
    streams = True
    distributed = True

    def default(self) -> ContextsSpec:
        """All FFN neurons of SmolLM2 on all texts."""
        return ContextsSpec()

    def example(self, model: Described) -> ContextsSpec | None:
        """Some texts, of a language model."""
        if model.alphabet != "text" or model.kind == "seq2seq":
            return None
        return ContextsSpec(model=model.name, revision=model.revision, limit=1_000)

    def shards(self, spec: ContextsSpec, context: Context) -> list[int]:
        """Where each portion begins."""
        return list(range(0, len(spec.texts), PORTION))

    def cost(self, spec: ContextsSpec, context: Context) -> Cost:
        """One pass over the texts."""
        model = context.model(spec.model, spec.revision)
        texts = min(spec.limit or wordnet.COUNT, wordnet.COUNT)
        return Cost(seconds(model, _TOKENS * texts, 1, 0), remark=self.kept)

    def run_shard(self, spec: ContextsSpec, shard: int, context: Context) -> Result:
        """The extremes of a portion."""
        context.progress(0.0, "loading the model")
        model = context.model(spec.model, spec.revision)
        if model.alphabet != "text":
            raise UserError(f"{model.title} reads no texts: choose a language model.")
        if model.kind == "seq2seq":
            raise UserError(
                f"The decoder of {model.title} reads what it has said itself: choose a model that "
                "reads texts alone, or this one's encoder."
            )
        texts = spec.texts
        judging = spec.judging(len(texts))
        numbers = [i for i in range(shard, min(shard + PORTION, len(texts))) if not judging[i]]
        ids = token_ids(model, [texts[i] for i in numbers])
        places = contexts(
            model,
            ids,
            numbers,
            spec.components,
            spec.keep,
            spec.precision,
            lambda done: context.progress(done, "reading activations"),
        )
        arrays = {k: v for c, each in places.items() for k, v in each.arrays(c).items()}
        return Result({"texts": len(ids), "tokens": sum(map(len, ids))}, arrays=arrays)

    def merge(self, spec: ContextsSpec, parts: Sequence[Result], context: Context) -> Result:
        """All portions together, and the texts that matter."""
        places = {c: Contexts(spec.keep) for c in spec.components}
        texts = tokens = 0
        for number, part in enumerate(parts):
            context.progress(number / len(parts), "joining the portions")
            texts, tokens = texts + part.numbers["texts"], tokens + part.numbers["tokens"]
            for c in spec.components:
                places[c].join(part.arrays, c)
        arrays = {k: v for c, each in places.items() for k, v in each.arrays(c).items()}
        named = [f"{end}_text.{c}" for end in ENDS for c in spec.components]
        shown = np.unique(np.concatenate([arrays[name].ravel() for name in named]))
        arrays |= {name: np.searchsorted(shown, arrays[name]).astype(np.int32) for name in named}
        every = spec.texts
        table = pd.DataFrame({"text": [every[i] for i in shown]})
        return Result({"texts": texts, "tokens": tokens}, {"texts": table}, arrays)


@lru_cache(maxsize=2)
def _drawn(limit: int | None, seed: int) -> tuple[str, ...]:
    texts = wordnet.read()
    if limit is None or limit >= len(texts):
        return tuple(texts)
    order = np.random.default_rng(seeds(seed, 2)[0]).permutation(len(texts))[:limit]
    return tuple(texts[i] for i in sorted(order))
