"""One prediction: the neurons that write it, and the neurons that wake those (arXiv 2312.12141)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.direct import Direct
from neuronlab.attribution.log_probability_increase import Candidates, LogProbabilityIncrease
from neuronlab.attribution.query_neurons import (
    VALUE_NEURONS,
    QueryScores,
    Shares,
    ValueNeuron,
    query_scores,
    shares,
)
from neuronlab.attribution.request import Request
from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt, shared
from neuronlab.neurons import Effect, NeuronScores, NeuronSet, Suppress, effect, predict
from neuronlab.runs import Context, Result, Spec, Study

HALVES = ("attention", "ffn")
# As many value and query neurons are compared, FFN neurons (as in the paper); as many attention
# neurons are listed.
LISTED = {"attention": 100, "ffn": 300}
# As many of the best of each kind are listed with the tokens they speak for.
WORDED = 50
_HISTOGRAM = 100
_TOKENS = 10
_SUPPRESSED = 10
# Rows of heads at single positions that are scored exactly.
_HEAD_ROWS = 128
# As many nodes of each stage are in the flow.
_FLOW = 8


class ValueQuerySpec(Spec):
    """What is asked of which model."""

    study: ClassVar[str] = "value_query"

    model: str
    revision: str = ""
    text: str
    target: str | int | None = None
    mask: int | None = None

    @property
    def prompt(self) -> Prompt:
        """What is asked of the model."""
        return Prompt(self.text, target=self.target, mask=self.mask)


class ValueQueryStudy(Study):
    """Value neurons, query neurons and the flow between them.

    Tables: ``layers`` (increase of each layer's attention, FFN and biases), ``path`` (logit lens),
    ``heads`` and ``head_positions``, ``neurons`` (the best value neurons, attention neurons at the
    position they read from), ``histogram``, ``query_layers``, ``query_neurons``, ``roles``,
    ``flow_nodes``, ``flow_links``. Arrays: ``ffn`` and ``attention`` (value scores, layers x
    neurons), ``query_attention`` and ``query_ffn`` (FFN neurons as query neurons of attention's
    and of the FFN's value neurons).
    """

    name = "value_query"
    title = "Value and query neurons"
    spec_type = ValueQuerySpec

    def default(self) -> ValueQuerySpec:
        """The capital of France on the small English model."""
        return ValueQuerySpec(
            model="smollm2-135m", text="The capital of France is", target=" Paris"
        )

    def run_shard(self, spec: ValueQuerySpec, shard: Any, context: Context) -> Result:
        """The whole study: one prompt is one shard."""
        context.progress(0.0, "loading the model")
        model = shared(spec.model, context.device)
        if model.kind == "classifier":
            raise UserError("Value neurons need a model that predicts tokens, not classes.")
        return analyse(model, spec.prompt, context)


@torch.no_grad()
def analyse(model: Model, prompt: Prompt, context: Context) -> Result:
    """Everything about one prediction."""
    context.progress(0.05, "reading the residual stream")
    prediction = predict(model, prompt)
    prompt = Prompt(prompt.text, target=prediction.target, mask=prompt.mask)
    encoded = model.encode(prompt)
    direct = Direct(Request(model, encoded, prediction.target, ("ffn", "attention")))
    scorer, stream = direct.scorer, direct.stream

    context.progress(0.15, "proving the best value neurons")
    summed = Candidates(0, stream.attention.sum(1, keepdim=True))
    searched = {
        half: (one, scorer.search([one], LISTED[half], check=context.check))
        for half, one in zip(HALVES, (scorer.attention_neurons, scorer.ffn_neurons), strict=True)
    }
    tables = {
        half: scorer.table(found, [one], LISTED[half]) for half, (one, found) in searched.items()
    }
    context.progress(0.45, "scoring attention over all positions")
    attention = scorer.search([summed], check=context.check).every.view(model.layers, -1)
    arrays = {
        "ffn": searched["ffn"][1].every.view(model.layers, -1),
        "attention": attention,
    }
    context.progress(0.55, "scoring layers and heads")
    result = Result(tables=_parts(scorer))
    result.tables["histogram"] = _histogram(tables["ffn"], direct, context)
    context.progress(0.7, "asking who wakes them")
    found = {}
    for half, name in enumerate(HALVES):
        best = tables[name].head(VALUE_NEURONS)
        values = [
            ValueNeuron(r.layer, half, r.neuron, encoded.position if half else r.position)
            for r in best.itertuples()
        ]
        own = shares(model, encoded, values)
        scores = torch.tensor(best["score"].to_numpy(np.float32), device=own.start.device)
        found[name] = own, query_scores(own, scores)
        arrays[f"query_{name}"] = found[name][1].ffn.mean(0)
    result.tables |= _queries({name: q for name, (_, q) in found.items()}, tables["ffn"])
    result.tables |= _flow(model, tables, {name: own for name, (own, _) in found.items()})
    context.progress(0.8, "reading their tokens")
    neurons = pd.concat(
        [tables[name].assign(rank=range(1, len(tables[name]) + 1)) for name in HALVES]
    )
    result.tables["neurons"] = _worded(model, scorer, neurons)
    result.arrays = {name: array.float().cpu().numpy() for name, array in arrays.items()}

    context.progress(0.9, "switching the top neurons off")
    chosen = value_scores(result).select(top=_SUPPRESSED)
    proof = effect(model, prompt, chosen, Suppress)
    result.tables |= {
        "suppressed": proof.choices,
        "random_sets": pd.DataFrame({"probability": proof.random}),
    }
    result.numbers = {
        "model": model.name,
        "revision": model.revision,
        "prompt": prompt.text,
        "mask": prompt.mask,
        "target": prediction.target,
        "target_label": prediction.label,
        "note": prediction.note,
        "tokens": list(encoded.tokens),
        "position": encoded.position,
        "probability": prediction.probability,
        "log_probability": prediction.log_probability,
        "rank": prediction.rank,
        "certified": LISTED,
        "rescored": int(sum(len(f.rescored) for _, f in searched.values())),
        "candidates": int(sum(len(f.bounds) for _, f in searched.values())),
        "query_used": {
            name: dict(zip(q.subkeys, q.used, strict=True)) for name, (_, q) in found.items()
        },
        "query_start": {name: float(q.start.mean()) for name, (_, q) in found.items()},
        "query_biases": {name: float(q.biases.mean()) for name, (_, q) in found.items()},
        "suppressed": len(chosen),
        "probability_suppressed": proof.probability[1],
        "rank_suppressed": proof.rank[1],
        "probability_random_mean": proof.random_mean,
        "probability_random_sd": proof.random_sd,
    }
    return result


def value_scores(result: Result) -> NeuronScores:
    """Value scores in a stored result: exact for the best hundred, bounds for the others."""
    arrays = {name: result.arrays[name] for name in ("ffn", "attention")}
    return NeuronScores(arrays, result.numbers, certified=100)


def query_neuron_scores(result: Result, half: str) -> NeuronScores:
    """FFN neurons as query neurons of the value neurons of a kind ("attention" or "ffn")."""
    return NeuronScores({"ffn": result.arrays[f"query_{half}"]}, result.numbers)


def value_suppressed_in(result: Result) -> tuple[NeuronSet, Effect]:
    """The value neurons that the study switched off, and what that did."""
    n = result.numbers
    found = Effect(
        label=n["target_label"],
        choices=result.tables["suppressed"],
        probability=(n["probability"], n["probability_suppressed"]),
        rank=(n["rank"], n["rank_suppressed"]),
        random=tuple(result.tables["random_sets"]["probability"]),
    )
    return value_scores(result).select(top=_SUPPRESSED), found


def _parts(scorer: LogProbabilityIncrease) -> dict[str, pd.DataFrame]:
    """Layers, path, heads, and heads at each position."""
    stream = scorer.stream
    layers = scorer.layers().cpu()
    biases = scorer.biases().cpu() if stream.biases.any() else torch.zeros_like(layers)
    rows = [
        (layer, half, float(layers[layer, i]), float(biases[layer, i]))
        for layer in range(len(layers))
        for i, half in enumerate(HALVES)
    ]
    path = scorer.path.cpu()
    names = ["embedding"] + [f"{half} {layer}" for layer in range(len(layers)) for half in HALVES]
    heads = scorer.heads().cpu()
    bounds = scorer.head_position_bounds().cpu()
    positions = bounds.shape[1]
    count = min(heads.numel(), max(1, _HEAD_ROWS // positions))
    best = heads.flatten().topk(count).indices.tolist()
    exact = [divmod(i, heads.shape[1]) for i in best]
    scores = bounds.transpose(1, 2).contiguous()
    scores[tuple(zip(*exact, strict=True))] = scorer.head_positions(exact).cpu()
    proven = torch.zeros(heads.shape, dtype=torch.bool)
    proven[tuple(zip(*exact, strict=True))] = True
    layer, head, position = (i.flatten().numpy() for i in _grid(*scores.shape))
    return {
        "layers": pd.DataFrame(rows, columns=["layer", "part", "increase", "bias_increase"]),
        "path": pd.DataFrame(
            {"state": names, "log_probability": path.numpy(), "probability": path.exp().numpy()}
        ),
        "heads": pd.DataFrame(
            {
                "layer": _grid(*heads.shape)[0].flatten().numpy(),
                "head": _grid(*heads.shape)[1].flatten().numpy(),
                "increase": heads.flatten().numpy(),
            }
        ),
        "head_positions": pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "position": position,
                "attention": stream.attention_weights.cpu().flatten().numpy(),
                "increase": scores.flatten().numpy(),
                "exact": proven[..., None].expand(scores.shape).flatten().numpy(),
            }
        ),
    }


def _grid(*shape: int) -> tuple[Tensor, ...]:
    return torch.meshgrid(*map(torch.arange, shape), indexing="ij")


def _histogram(increase: pd.DataFrame, direct: Direct, context: Context) -> pd.DataFrame:
    """FFN neurons among the best hundred, per layer, by log-probability and by probability."""
    scorer = direct.scorer
    before = scorer.path.exp()
    context.check()
    found = scorer.search(
        [scorer.ffn_neurons],
        _HISTOGRAM,
        scale=lambda values, states: before[states] * values.expm1(),
        check=context.check,
    )
    other = scorer.table(found, [scorer.ffn_neurons], _HISTOGRAM)
    layers = range(scorer.stream.model.layers)
    return pd.DataFrame(
        {
            "layer": layers,
            "log_probability_increase": _per_layer(increase.head(_HISTOGRAM), layers),
            "probability_increase": _per_layer(other, layers),
        }
    )


def _per_layer(table: pd.DataFrame, layers: range) -> np.ndarray:
    return table["layer"].value_counts().reindex(layers, fill_value=0).to_numpy()


def _queries(found: dict[str, QueryScores], values: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Query scores of layers and neurons, and who is value neuron, query neuron or both."""
    rows = [
        (of, layer, part, float(scores.layers.mean(0)[layer, i]))
        for of, scores in found.items()
        for layer in range(scores.layers.shape[1])
        for i, part in enumerate(HALVES)
    ]
    neurons, roles = [], []
    writes = {(r.layer, r.neuron): r.score for r in values.itertuples()}
    for of, scores in found.items():
        mean = scores.ffn.mean(0)
        best = mean.flatten().topk(min(LISTED["ffn"], mean.numel()))
        asks = {}
        for rank, (value, index) in enumerate(
            zip(best.values.tolist(), best.indices.tolist(), strict=True), start=1
        ):
            layer, neuron = divmod(index, mean.shape[1])
            asks[layer, neuron] = value
            keys = {
                name: float(scores.ffn[i, layer, neuron]) for i, name in enumerate(scores.subkeys)
            }
            neurons.append(
                {
                    "of": of,
                    "rank": rank,
                    "layer": layer,
                    "component": "ffn",
                    "neuron": neuron,
                    "score": value,
                    **(keys if len(keys) > 1 else {}),
                }
            )
        for at in sorted(asks.keys() | writes.keys()):
            role = "both" if at in asks and at in writes else None
            role = role or ("query only" if at in asks else "value only")
            roles.append((of, *at, role, asks.get(at), writes.get(at)))
    return {
        "query_layers": pd.DataFrame(rows, columns=["of", "layer", "part", "score"]),
        "query_neurons": pd.DataFrame(neurons),
        "roles": pd.DataFrame(
            roles, columns=["of", "layer", "neuron", "role", "query_score", "value_score"]
        ),
    }


def _flow(
    model: Model, values: dict[str, pd.DataFrame], found: dict[str, Shares]
) -> dict[str, pd.DataFrame]:
    """Query FFN -> attention value -> FFN value -> target: the strongest of each stage."""
    best = {name: table.head(VALUE_NEURONS).reset_index() for name, table in values.items()}
    # An attention neuron reads from several positions: one node, its increases added up.
    attention = best["attention"].groupby(["layer", "neuron"], sort=False)["score"].sum()
    attention = attention.nlargest(_FLOW)
    ffn = best["ffn"].set_index(["layer", "neuron"])["score"].head(_FLOW)
    links = [("attention", *a, "target", -1, -1, score) for a, score in attention.items()]
    links += [("ffn", *f, "target", -1, -1, score) for f, score in ffn.items()]
    for f, score in ffn.items():
        mean = _mean_share(found["ffn"], best["ffn"], f, "attention")
        links += [("attention", *a, "ffn", *f, score * float(mean[a])) for a in attention.index]
    wakes = {
        a: sum(
            row.score * found["attention"].ffn[row.index_]
            for row in _rows(best["attention"], a).itertuples()
        )
        for a in attention.index
    }
    total = sum(wakes.values())
    for index in total.flatten().topk(min(_FLOW, total.numel())).indices.tolist():
        q = divmod(index, total.shape[1])
        links += [("query", *q, "attention", *a, float(part[q])) for a, part in wakes.items()]
    columns = [
        "source",
        "source_layer",
        "source_neuron",
        "target",
        "target_layer",
        "target_neuron",
        "weight",
    ]
    table = pd.DataFrame(links, columns=columns)
    ends = [
        table[[side, f"{side}_layer", f"{side}_neuron"]].set_axis(
            ["stage", "layer", "neuron"], axis=1
        )
        for side in ("source", "target")
    ]
    nodes = pd.concat(ends).drop_duplicates(ignore_index=True)
    head_size = model.sizes["attention"] // model.hf.config.num_attention_heads
    nodes["component"] = nodes["stage"].map(
        {"query": "ffn", "ffn": "ffn", "attention": "attention"}
    )
    nodes["head"] = np.where(nodes["stage"] == "attention", nodes["neuron"] // head_size, -1)
    return {"flow_links": table, "flow_nodes": nodes}


def _rows(table: pd.DataFrame, at: tuple[int, int]) -> pd.DataFrame:
    return table[(table["layer"] == at[0]) & (table["neuron"] == at[1])].rename(
        columns={"index": "index_"}
    )


def _mean_share(
    found: Shares, table: pd.DataFrame, at: tuple[int, int], part: str
) -> Float[Tensor, "layer neuron"]:
    """A value neuron's share of each neuron below, the mean over its subkeys."""
    number = int(_rows(table, at)["index_"].iloc[0])
    rows = [i for i, value in enumerate(found.value) if value == number]
    return getattr(found, part)[rows].mean(0)


def _worded(model: Model, scorer: LogProbabilityIncrease, neurons: pd.DataFrame) -> pd.DataFrame:
    """The value neurons with coefficient, and the tokens their vectors raise and lower most."""
    stream = scorer.stream
    head_size = model.sizes["attention"] // stream.heads
    of_attention = neurons["component"] == "attention"
    neurons = neurons.assign(
        head=np.where(of_attention, neurons["neuron"] // head_size, -1),
        coefficient=[
            float(
                stream.ffn[r.layer, r.neuron]
                if r.component == "ffn"
                else stream.attention[r.layer, r.position, r.neuron]
            )
            for r in neurons.itertuples()
        ],
    ).reset_index(drop=True)
    worded = neurons.index[neurons["rank"] <= WORDED].tolist()
    vectors = torch.cat(
        [
            stream.vectors(r.layer, HALVES.index(r.component), [r.neuron])
            for r in neurons.loc[worded].itertuples()
        ]
    )
    words: dict[str, list[str]] = {"promotes": [], "suppresses": []}
    for some in vectors.split(64):
        change = stream.readout.change(some)
        for name, sign in (("promotes", 1), ("suppresses", -1)):
            for row in (sign * change).topk(min(_TOKENS, change.shape[1])).indices.tolist():
                words[name].append("  ".join(model.token(i).strip() or "␣" for i in row))
    for name, texts in words.items():
        neurons[name] = pd.Series(texts, index=worded, dtype="object")
        neurons[name] = neurons[name].fillna("")
    columns = [
        "rank",
        "layer",
        "component",
        "neuron",
        "head",
        "position",
        "score",
        "bound",
        "coefficient",
        "promotes",
        "suppresses",
    ]
    return neurons[columns]
