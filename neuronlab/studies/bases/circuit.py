"""One prediction in tables: layers, heads, value and query neurons, and the flow between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.attribution.query_neurons import VALUE_NEURONS, QueryScores, Shares
from neuronlab.models import Model
from neuronlab.models.components import SUBLAYERS
from neuronlab.progress import Check

# As many of the best value neurons of each kind are listed with the tokens they speak for.
WORDED = 50
_TOKENS = 10
_HISTOGRAM = 100
# Rows of heads at single positions that are scored exactly.
_HEAD_ROWS = 128
# As many nodes of each stage are in the flow.
_FLOW = 8


def layers_and_path(scorer: LogProbabilityIncrease) -> dict[str, pd.DataFrame]:
    """What each sublayer adds, and how probable the target is before and after each."""
    layers = scorer.layers().cpu()
    biases = scorer.biases().cpu() if scorer.stream.biases.any() else torch.zeros_like(layers)
    rows = [
        (layer, sublayer, float(layers[layer, i]), float(biases[layer, i]))
        for layer in range(len(layers))
        for i, sublayer in enumerate(SUBLAYERS)
    ]
    path = scorer.path.cpu()
    return {
        "layers": pd.DataFrame(rows, columns=["layer", "part", "increase", "bias_increase"]),
        "path": pd.DataFrame(
            {
                "state": ["embedding", *(f"{sublayer} {layer}" for layer, sublayer, *_ in rows)],
                "log_probability": path.numpy(force=True),
                "probability": path.exp().numpy(force=True),
            }
        ),
    }


def heads_and_positions(scorer: LogProbabilityIncrease) -> dict[str, pd.DataFrame]:
    """What each head adds, and at each position: exact for the best heads, else a bound."""
    heads = scorer.heads().cpu()
    bounds = scorer.head_position_bounds().cpu()
    count = min(heads.numel(), max(1, _HEAD_ROWS // bounds.shape[1]))
    best = [divmod(i, heads.shape[1]) for i in heads.flatten().topk(count).indices.tolist()]
    scores = bounds.transpose(1, 2).contiguous()
    scores[tuple(zip(*best, strict=True))] = scorer.head_positions(best).cpu()
    exact = torch.zeros_like(heads, dtype=torch.bool)
    exact[tuple(zip(*best, strict=True))] = True
    layer, head, position = (i.ravel() for i in np.indices(scores.shape))
    return {
        "heads": pd.DataFrame(
            {
                "layer": np.indices(heads.shape)[0].ravel(),
                "head": np.indices(heads.shape)[1].ravel(),
                "increase": heads.flatten().numpy(force=True),
            }
        ),
        "head_positions": pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "position": position,
                "attention": scorer.stream.attention_weights.cpu().flatten().numpy(force=True),
                "increase": scores.flatten().numpy(force=True),
                "exact": exact[..., None].expand(scores.shape).flatten().numpy(force=True),
            }
        ),
    }


def histogram(scorer: LogProbabilityIncrease, increase: pd.DataFrame, check: Check) -> pd.DataFrame:
    """FFN neurons among the best hundred, per layer, by log-probability and by probability.

    Args:
        increase: the best by log-probability.
    """
    proof = scorer.search(
        [scorer.ffn_neurons], _HISTOGRAM, scale=scorer.in_probability, check=check
    )
    by_probability = scorer.table(proof, [scorer.ffn_neurons], _HISTOGRAM)
    layers = range(scorer.stream.model.layers)
    return pd.DataFrame(
        {
            "layer": layers,
            "log_probability_increase": _per_layer(increase.head(_HISTOGRAM), layers),
            "probability_increase": _per_layer(by_probability, layers),
        }
    )


def _per_layer(table: pd.DataFrame, layers: range) -> np.ndarray:
    return table["layer"].value_counts().reindex(layers, fill_value=0).to_numpy()


def query_tables(
    queries: Mapping[str, QueryScores], values: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Query scores of layers and neurons, and who is value neuron, query neuron or both."""
    rows = [
        (of, layer, part, float(scores.layers.mean(0)[layer, i]))
        for of, scores in queries.items()
        for layer in range(scores.layers.shape[1])
        for i, part in enumerate(SUBLAYERS)
    ]
    neurons, roles = [], []
    writes = {(r.layer, r.neuron): r.score for r in values.itertuples()}
    for of, scores in queries.items():
        mean = scores.ffn.mean(0)
        best = mean.flatten().topk(min(len(values), mean.numel()))
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


def flow(
    model: Model, values: Mapping[str, pd.DataFrame], shares: Mapping[str, Shares]
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
        mean = _attention_share(shares["ffn"], best["ffn"], f)
        links += [("attention", *a, "ffn", *f, score * float(mean[a])) for a in attention.index]
    wakes = {
        a: sum(
            row.score * shares["attention"].ffn[row.index_]
            for row in _rows(best["attention"], a).itertuples()
        )
        for a in attention.index
    }
    total = sum(wakes.values())
    for index in total.flatten().topk(min(_FLOW, total.numel())).indices.tolist():
        q = divmod(index, total.shape[1])
        links += [("query", *q, "attention", *a, float(part[q])) for a, part in wakes.items()]
    source, target = ([end, f"{end}_layer", f"{end}_neuron"] for end in ("source", "target"))
    table = pd.DataFrame(links, columns=[*source, *target, "weight"])
    ends = [table[end].set_axis(["stage", "layer", "neuron"], axis=1) for end in (source, target)]
    nodes = pd.concat(ends).drop_duplicates(ignore_index=True)
    nodes["component"] = nodes["stage"].map(
        {"query": "ffn", "ffn": "ffn", "attention": "attention"}
    )
    nodes["head"] = np.where(nodes["stage"] == "attention", nodes["neuron"] // model.head_size, -1)
    return {"flow_links": table, "flow_nodes": nodes}


def _rows(table: pd.DataFrame, at: tuple[int, int]) -> pd.DataFrame:
    return table[(table["layer"] == at[0]) & (table["neuron"] == at[1])].rename(
        columns={"index": "index_"}
    )


def _attention_share(
    shares: Shares, table: pd.DataFrame, at: tuple[int, int]
) -> Float[Tensor, "layer neuron"]:
    """The share of each attention neuron in a value neuron's subkeys, the mean over these."""
    number = int(_rows(table, at)["index_"].iloc[0])
    rows = [i for i, value in enumerate(shares.value) if value == number]
    return shares.attention[rows].mean(0)


def worded(scorer: LogProbabilityIncrease, values: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The value neurons with coefficient, and the tokens their vectors raise and lower most."""
    stream = scorer.stream
    neurons = pd.concat([table.assign(rank=range(1, len(table) + 1)) for table in values.values()])
    of_attention = neurons["component"] == "attention"
    neurons = neurons.assign(
        head=np.where(of_attention, neurons["neuron"] // stream.model.head_size, -1),
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
        [stream.vectors(r.layer, r.component, [r.neuron]) for r in neurons.loc[worded].itertuples()]
    )
    words: dict[str, list[str]] = {"promotes": [], "suppresses": []}
    for some in vectors.split(64):
        change = stream.readout.change(some)
        for name, sign in (("promotes", 1), ("suppresses", -1)):
            for row in (sign * change).topk(min(_TOKENS, change.shape[1])).indices.tolist():
                words[name].append("  ".join(map(_word, map(stream.model.token, row))))
    for name, texts in words.items():
        neurons[name] = pd.Series(texts, index=worded, dtype="object")
        neurons[name] = neurons[name].fillna("")
    columns = ["rank", "layer", "component", "neuron", "head", "position", "score", "bound"]
    return neurons[[*columns, "coefficient", *words]]


def _word(token: str) -> str:
    """A token without the gap before it, which is seen where it is all there is."""
    from neuronlab.figures.charts import visible

    return token.strip() or visible(token)
