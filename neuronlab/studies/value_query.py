"""One prediction: the neurons that write it, and the neurons that wake those (arXiv 2312.12141)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import torch

from neuronlab.attribution.best_first import CERTIFIED, Proof
from neuronlab.attribution.estimate import estimate
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease, summed
from neuronlab.attribution.query_neurons import (
    VALUE_NEURONS,
    QueryScores,
    query_scores,
    shares_of,
)
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.models import Component, Model
from neuronlab.models.components import Sublayer
from neuronlab.models.stream import read_stream
from neuronlab.neurons import NeuronScores, predict
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.bases import circuit
from neuronlab.studies.bases.one_prompt import PromptSpec, prove
from neuronlab.studies.bases.prompts import Described, first_prompt, one_stream

if TYPE_CHECKING:
    import plotly.graph_objects as go

# As many value and query neurons are compared, FFN neurons (as in the paper); as many attention
# neurons are listed.
LISTED = {"attention": 100, "ffn": 300}


VALUES: tuple[Component, ...] = ("ffn", "attention")


class ValueQuerySpec(PromptSpec):
    """What is asked of which model."""

    study: ClassVar[str] = "value_query"
    version: ClassVar[int] = 2


class ValueQueryStudy(Study[ValueQuerySpec]):
    """Writing neurons, waking neurons and the flow between them.

    Tables: ``layers`` (increase of each layer's attention, FFN and biases), ``path`` (logit lens),
    ``heads`` and ``head_positions``, ``neurons`` (the best value neurons, attention neurons at the
    position they read from), ``histogram``, ``query_layers``, ``query_neurons``, ``roles``,
    ``flow_nodes``, ``flow_links``. Arrays: ``ffn`` and ``attention`` (value scores, layers x
    neurons), ``query_attention`` and ``query_ffn`` (FFN neurons as query neurons of attention's
    and of the FFN's value neurons).
    """

    name = "value_query"
    title = "Writing and waking neurons"
    spec_type = ValueQuerySpec

    def default(self) -> ValueQuerySpec:
        """The capital of France on the small English model."""
        return ValueQuerySpec(
            model="smollm2-135m", text="The capital of France is", target=" Paris"
        )

    def example(self, model: Described) -> ValueQuerySpec | None:
        """The first prompt of a model that predicts tokens."""
        if not one_stream(model):
            return None
        return ValueQuerySpec(model=model.name, revision=model.revision, **first_prompt(model))

    def cost(self, spec: ValueQuerySpec, context: Context) -> Cost:
        """Heads, query neurons and the proof take about twice as long again as value neurons."""
        model = context.model(spec.model, spec.revision)
        values = estimate(model, spec.prompt, "log_probability_increase", VALUES, "predicted")
        return Cost(3 * values.seconds + 1, values.bytes)

    def run_shard(self, spec: ValueQuerySpec, shard: Any, context: Context) -> Result:
        """The whole study: one prompt is one shard."""
        context.progress(0.0, "loading the model")
        model = context.model(spec.model, spec.revision)
        if model.kind == "classifier":
            raise UserError("Writing neurons need a model that predicts tokens, not classes.")
        result = analyse(model, spec, context)
        context.progress(0.9, "switching the top neurons off")
        proof = prove(model, spec, value_scores(result))
        return Result(result.numbers | proof.numbers, result.tables | proof.tables, result.arrays)

    def plot(self, spec: ValueQuerySpec, result: Result) -> go.Figure:
        """Log-probability increase of each layer's attention and FFN."""
        from neuronlab.figures.value_query import layer_bars

        return layer_bars(result.tables["layers"], "increase", "increase")


@torch.no_grad()
def analyse(model: Model, spec: ValueQuerySpec, context: Context) -> Result:
    """Everything about one prediction but the proof."""
    context.progress(0.05, "reading the residual stream")
    encoded = model.encode(spec.prompt)
    target = predict(model, encoded).target if encoded.target is None else encoded.target
    scorer = LogProbabilityIncrease(read_stream(model, encoded), target)

    context.progress(0.1, "scoring layers and heads")
    tables = circuit.layers_and_path(scorer) | circuit.heads_and_positions(scorer)
    asked = {
        "model": model.name,
        "revision": model.revision,
        "prompt": spec.text,
        "mask": spec.mask,
        "target": target,
        "tokens": list(encoded.tokens),
        "position": encoded.position,
    }
    label = {"target_label": model.label(target)}
    context.preview(Result(asked | label, dict(tables)), "layers and heads; neurons are next")

    context.progress(0.15, "proving the best writing neurons")
    searched, values = _writing(scorer, context.check)
    context.progress(0.45, "scoring attention over all positions")
    attention = scorer.search([summed(scorer.stream, "attention")], check=context.check)
    arrays = {"ffn": searched["ffn"].every, "attention": attention.every}

    context.progress(0.6, "comparing with increases in probability")
    tables["histogram"] = circuit.histogram(scorer, values["ffn"], context.check)

    context.progress(0.7, "asking who wakes them")
    best = {sublayer: table.head(VALUE_NEURONS) for sublayer, table in values.items()}
    shares = shares_of(model, encoded, best)
    queries = {name: query_scores(shares[name], best[name]["score"]) for name in best}
    arrays |= {f"query_{sublayer}": query.ffn.mean(0) for sublayer, query in queries.items()}
    tables |= circuit.query_tables(queries, values["ffn"])
    tables |= circuit.flow(model, values, shares)

    context.progress(0.8, "reading their tokens")
    tables["neurons"] = circuit.worded(scorer, values)
    scores = {
        name: array.view(model.layers, -1).float().numpy(force=True)
        for name, array in arrays.items()
    }
    return Result(asked | _counts(searched, queries), tables, scores)


def _writing(
    scorer: LogProbabilityIncrease, check: Callable[[], None]
) -> tuple[dict[str, Proof], dict[str, pd.DataFrame]]:
    """The best value neurons of attention and FFN: how they were searched, and their tables."""
    candidates = {"attention": [scorer.attention_neurons], "ffn": [scorer.ffn_neurons]}
    searched = {
        sublayer: scorer.search(neurons, LISTED[sublayer], check=check)
        for sublayer, neurons in candidates.items()
    }
    values = {
        sublayer: scorer.table(searched[sublayer], neurons, LISTED[sublayer])
        for sublayer, neurons in candidates.items()
    }
    return searched, values


def _counts(searched: Mapping[str, Proof], queries: Mapping[str, QueryScores]) -> dict[str, Any]:
    """What the search for value neurons took, and what query scores leave out or add up."""
    return {
        "certified": LISTED,
        "rescored": sum(len(proof.rescored) for proof in searched.values()),
        "candidates": sum(len(proof.bounds) for proof in searched.values()),
        "query_used": {
            sublayer: dict(zip(q.subkeys, q.used, strict=True)) for sublayer, q in queries.items()
        },
        "query_start": {sublayer: float(q.start.mean()) for sublayer, q in queries.items()},
        "query_biases": {sublayer: float(q.biases.mean()) for sublayer, q in queries.items()},
    }


def value_scores(result: Result) -> NeuronScores:
    """Value scores in a stored result: exact for the best hundred, bounds for the others."""
    arrays = {name: result.arrays[name] for name in VALUES}
    source = {**result.numbers, "settings": {"method": "log_probability_increase"}}
    return NeuronScores(arrays, source, certified=CERTIFIED)


def query_neuron_scores(result: Result, sublayer: Sublayer) -> NeuronScores:
    """FFN neurons as query neurons of the value neurons of a kind ("attention" or "ffn")."""
    return NeuronScores({"ffn": result.arrays[f"query_{sublayer}"]}, result.numbers)
