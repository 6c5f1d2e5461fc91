"""What a chat model says of one neuron of a language model, and how well that foretells it.

An explanation is made from the texts that drive the neuron most. From it alone the chat model
foretells the neuron's activation at each token of other texts; beside that stands what explanations
of other neurons of the layer foretell of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import ConfigDict, Field

from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.labels import endpoint, wordnet
from neuronlab.labels.context_prompts import Seen, explaining, foretold, simulating
from neuronlab.labels.contexts import activations, counted
from neuronlab.labels.prompts import clean
from neuronlab.labels.simulation import correlations
from neuronlab.models import Component, Model
from neuronlab.progress import Fraction, unheard
from neuronlab.runs import Context, Result, Study
from neuronlab.statistics import seeds
from neuronlab.studies.contexts import ContextsSpec, ContextsStudy

# Held-out texts in which a neuron's activation is looked for.
_SEARCHED = 500
_TEMPERATURE = 0.0


class ContextExplanationSpec(ContextsSpec):
    """Which neuron, who explains it, and on how many texts that is tested.

    Attributes:
        component, layer, neuron: the neuron.
        address, answers_by: of the endpoint: where it is and its model. The key is no part of a
            spec.
        strongest: held-out texts that drive the neuron most, of 500; as many at random stand beside
            them.
        others: neurons of the layer, drawn at random, whose explanations are the control.
    """

    # What is refused may be a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    study: ClassVar[str] = "context_explanation"

    component: Component = "ffn"
    layer: int = Field(0, ge=0)
    neuron: int = Field(0, ge=0)
    address: endpoint.Address = ""
    answers_by: str = ""
    strongest: int = Field(5, ge=2, le=20)
    others: int = Field(3, ge=1, le=10)

    @property
    def requests(self) -> int:
        """How many answers the chat model gives."""
        return (1 + self.others) * (1 + 2 * self.strongest)


class ContextExplanationStudy(Study[ContextExplanationSpec]):
    """Has a chat model explain one neuron of a language model, and foretell it on other texts.

    Table ``explanations``, the neuron's own first, then those of ``others``: neuron, text,
    correlation (Pearson's, of what it foretells with the neuron's activation over the tokens of the
    held-out texts; 0 where it foretells the same at all of them, nan where no answer could be
    read). Table ``tokens``, of these texts: text (its number), place, token, strongest (whether the
    text is one of those that drive the neuron most), activation, foretold (by its own explanation;
    nan where the answer could not be read), control (the mean of what the others foretell). What
    does not count, as the first token, is left out.

    Numbers: correlation; control_correlation, the mean over the others; texts; unread, of how many
    answers nothing could be read.
    """

    name = "context_explanation"
    title = "What a chat model says of a neuron"
    spec_type = ContextExplanationSpec
    needing = 0.8

    def default(self) -> ContextExplanationSpec:
        """The first FFN neuron of SmolLM2, by the environment's endpoint where one is set."""
        try:
            preset = endpoint.from_environment()
        except UserError:
            return ContextExplanationSpec()
        return ContextExplanationSpec(address=preset.address, answers_by=preset.model)

    def needs(self, spec: ContextExplanationSpec) -> list[tuple[Study, ContextsSpec]]:
        """The places; what must fail later for want of an endpoint fails here."""
        endpoint.for_run(spec.address, spec.answers_by, spec.key)
        if spec.component not in spec.components:
            raise UserError(f"Texts of {spec.component} neurons are needed: add the component.")
        return [(ContextsStudy(), spec.contexts)]

    def cost(self, spec: ContextExplanationSpec, context: Context) -> Cost:
        """The texts that are searched; the endpoint's time is not known."""
        few = spec.contexts.model_copy(update={"limit": min(_SEARCHED, wordnet.COUNT)})
        remark = f", and {spec.requests} answers of the chat model"
        return replace(ContextsStudy().cost(few, context), remark=remark)

    def run_shard(self, spec: ContextExplanationSpec, shard: Any, context: Context) -> Result:
        """Explain, foretell, compare."""
        model = context.model(spec.model, spec.revision)
        (places,) = context.given
        values = places.arrays[f"top_value.{spec.component}"]
        if spec.layer >= len(values) or spec.neuron >= values.shape[1]:
            raise UserError(f"{model.title} has no such neuron: choose another one.")
        draw = np.random.default_rng([seeds(spec.seed, 4)[3], spec.layer, spec.neuron])
        among = np.setdiff1d(np.flatnonzero((values[spec.layer] > 0).any(1)), [spec.neuron])
        others = draw.permutation(among)[: spec.others].tolist()
        if not others:
            raise UserError("No other neuron of the layer is active: there is no control.")
        of = [spec.neuron, *others]
        contexts = [self._contexts(spec, model, places, neuron) for neuron in of]
        held, strongest = self._held(
            spec, model, draw, lambda done: context.progress(0.3 * done, "reading other texts")
        )
        explained = self._ask(spec, context.part(0.3, 0.2), [explaining(c) for c in contexts])
        texts = [clean(answer) for answer in explained]
        if not texts[0]:
            raise UserError("The chat model said nothing of use: try another model.")
        asked = [simulating(text, tokens) for text in texts for tokens, _ in held]
        answers = self._ask(spec, context.part(0.5, 0.5), asked)
        lengths = [len(tokens) for tokens, _ in held]
        read = [
            foretold(answer, count)
            for answer, count in zip(answers, lengths * len(of), strict=True)
        ]
        predictions = [
            np.full(count, np.nan) if values is None else values
            for values, count in zip(read, lengths * len(of), strict=True)
        ]
        predicted = np.concatenate(predictions).reshape(len(of), sum(lengths))
        return _result(of, texts, held, strongest, predicted, sum(each is None for each in read))

    def _contexts(
        self, spec: ContextExplanationSpec, model: Model, places: Result, neuron: int
    ) -> list[Seen]:
        """The texts that drive a neuron most, and its activation where it counts."""
        at = (spec.layer, neuron)
        rows = places.arrays[f"top_text.{spec.component}"][at]
        texts = places.tables["texts"]["text"].iloc[rows].tolist()
        seen = activations(model, texts, spec.component, spec.layer, neuron)
        return [(tokens, _where_counted(model, values)) for tokens, values in seen]

    def _held(
        self,
        spec: ContextExplanationSpec,
        model: Model,
        draw: np.random.Generator,
        progress: Fraction = unheard,
    ) -> tuple[list[Seen], list[bool]]:
        """Texts that made no explanation: those that drive the neuron most, and random ones.

        Returns:
            The tokens that count of each, with the neuron's activation; and whether it is one of
            the former.
        """
        every = spec.texts
        kept = np.flatnonzero(spec.judging(len(every)))[:_SEARCHED]
        texts = [every[i] for i in kept]
        some = counted(model)
        seen = [
            (tokens[some], values[some])
            for tokens, values in activations(
                model, texts, spec.component, spec.layer, spec.neuron, progress
            )
            if tokens[some]
        ]
        order = np.argsort([-values.max() for _, values in seen], kind="stable")
        first, rest = order[: spec.strongest], draw.permutation(order[spec.strongest :])
        chosen = [*first, *rest[: spec.strongest]]
        return [seen[at] for at in chosen], [place < len(first) for place in range(len(chosen))]

    def _ask(
        self, spec: ContextExplanationSpec, context: Context, many: Sequence[list[dict[str, str]]]
    ) -> list[str]:
        explainer = endpoint.for_run(spec.address, spec.answers_by, spec.key)
        answers = explainer.answers(
            many,
            temperature=_TEMPERATURE,
            check=context.check,
            progress=lambda done, words: context.progress(done, f"asking: {words}"),
        )
        return [answer for (answer,) in answers]


def _where_counted(model: Model, values: Float[np.ndarray, " token"]) -> np.ndarray:
    shown = np.full(len(values), np.nan)
    shown[counted(model)] = values[counted(model)]
    return shown


def _result(
    of: Sequence[int],
    texts: Sequence[str],
    held: Sequence[Seen],
    strongest: Sequence[bool],
    predicted: Float[np.ndarray, "explanation token_of_any"],
    unread: int,
) -> Result:
    activation = np.concatenate([values for _, values in held])
    r = [_correlation(row, activation) for row in predicted]
    number = np.repeat(np.arange(len(held)), [len(tokens) for tokens, _ in held])
    tokens = pd.DataFrame(
        {
            "text": number,
            "place": np.concatenate([np.arange(len(tokens)) for tokens, _ in held]),
            "token": [token for tokens, _ in held for token in tokens],
            "strongest": np.array(strongest)[number],
            "activation": activation,
            "foretold": predicted[0],
            "control": pd.DataFrame(predicted[1:]).mean(),  # of what is known
        }
    )
    explanations = pd.DataFrame({"neuron": of, "text": texts, "correlation": r})
    numbers = {
        "correlation": float(r[0]),
        "control_correlation": float(explanations["correlation"].iloc[1:].mean()),
        "texts": len(held),
        "unread": unread,
    }
    return Result(numbers, {"explanations": explanations, "tokens": tokens})


def _correlation(predicted: np.ndarray, activation: np.ndarray) -> float:
    """Over the tokens of which something was foretold."""
    there = ~np.isnan(predicted)
    if not there.any():
        return np.nan
    (r,) = correlations(predicted[None, there], activation[None, there])
    return float(np.nan_to_num(r))  # who foretells the same everywhere foretells nothing
