"""Experiments of the lessons on single neurons: what they are, say, and are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from jaxtyping import Float
from torch import Tensor

from neuronlab.figures.block import SHOWN, Stage
from neuronlab.figures.block import block as drawing
from neuronlab.figures.charts import visible
from neuronlab.figures.colours import COLOURS, NEUTRAL
from neuronlab.figures.heatmaps import by_layer
from neuronlab.models import COMPONENTS, Component
from neuronlab.neurons import Neuron, NeuronSet, Suppress, predict_many
from neuronlab.neurons.card import neuron_card
from neuronlab.runs import Result
from neuronlab.widgets import heatmaps
from pages.learn.experiment import Outcome, band, experiment, plot
from pages.learn.material import capital_prompt, capital_scores, default_model, stored

# What a person is told to be loud: of a neuron against the loudest of its layer.
_LOUD = 0.2
_FIRST = 5


@experiment
def block(layer: int) -> Outcome:
    """The lesson's prompt on its way through one block."""
    model, circuit = default_model(), stored("value_query")
    encoded = model.encode(capital_prompt())
    seen = model.read(encoded, COMPONENTS)
    vectors = {c: _at_last_token(seen[layer, c]) for c in COMPONENTS}
    token = _at_last_token(model.hf.get_input_embeddings()(encoded.input_ids))
    path = circuit.tables["path"].set_index("state")["probability"]
    numbers = {
        "layer": layer,
        "layers": model.layers,
        "width": len(token),
        "ffn": len(vectors["ffn"]),
        "after_block": float(path[f"ffn {layer}"]),
        "end": float(circuit.tables["predictions"]["probability"].iloc[0]),
        "neurons": model.layers * sum(model.sizes[c] for c in COMPONENTS),
    }

    stages = _stages(encoded.tokens, token, vectors, circuit, numbers)

    def draw() -> None:
        st.html(drawing(stages))

    return Outcome(numbers, draw)


# What the place of the answer, which is named, does with them.
_DOES: dict[Component, str] = {
    "query": "What {} asks earlier tokens for",
    "key": "What {} offers to be found by",
    "value": "What {} would hand on to later tokens",
}


def _stages(
    tokens: Sequence[str],
    token: Float[np.ndarray, " width"],
    vectors: Mapping[Component, Float[np.ndarray, " neuron"]],
    circuit: Result,
    numbers: Mapping[str, Any],
) -> list[Stage]:
    """What a block is given, what its attention and FFN make of it, and what comes of that."""
    asker = f"“{tokens[-1].strip()}”"
    heads = circuit.tables["head_positions"]
    looks = heads[heads["layer"] == numbers["layer"]].groupby("position")["attention"].mean()
    choices = circuit.tables["predictions"].head(_FIRST)
    loudest = np.argsort(-np.abs(vectors["ffn"]))[:SHOWN]
    return [
        Stage("Tokens", "The sentence in pieces.", [(t, None) for t in tokens]),
        _strip("Embedding", f"{asker} becomes {len(token):,} numbers.", token),
        *(
            _strip(
                c.title(),
                f"{does.format(asker)}: {len(vectors[c]):,} numbers, each a neuron.",
                vectors[c],
            )
            for c, does in _DOES.items()
        ),
        Stage(
            "Attention",
            "How much is read from each place, where query and key fit (mean of the heads). Heads "
            "that have nothing to fetch look at the first token, which says little by itself.",
            [(text, float(looks[i])) for i, text in enumerate(tokens)],
            percent=True,
        ),
        Stage(
            "FFN",
            f"{len(vectors['ffn']):,} neurons look at what was gathered; the loudest, by their "
            "numbers.",
            [(str(i), float(vectors["ffn"][i])) for i in loudest],
            of=len(vectors["ffn"]),
        ),
        Stage(
            "Stream",
            "All of it is added up. This much the answer would have if the stream were read here "
            "already:",
            [(circuit.numbers["target_label"], numbers["after_block"])],
            percent=True,
        ),
        Stage(
            "Next token",
            f"After {numbers['layers']} such blocks:",
            [(str(c.token), float(c.probability)) for c in choices.itertuples()],
            percent=True,
        ),
    ]


def _at_last_token(vectors: Float[Tensor, "1 token neuron"]) -> Float[np.ndarray, " neuron"]:
    return vectors[0, -1].float().numpy(force=True)


def _strip(name: str, words: str, vector: Float[np.ndarray, " neuron"]) -> Stage:
    """The beginning of a long vector."""
    return Stage(name, words, [("", float(value)) for value in vector[:SHOWN]], of=len(vector))


@experiment
def loud(layer: int) -> Outcome:
    """How many FFN neurons of a layer say anything on the prompt."""
    model = default_model()
    seen = model.read(model.encode(capital_prompt()), ("ffn",))[layer, "ffn"]
    sizes = np.sort(np.abs(_at_last_token(seen)))[::-1]
    count = int((sizes >= _LOUD * sizes[0]).sum())

    def draw() -> None:
        figure = go.Figure(
            go.Scatter(
                x=np.arange(1, len(sizes) + 1), y=sizes, fill="tozeroy", line={"color": COLOURS[0]}
            )
        )
        figure.add_vline(x=count, line={"dash": "dot", "color": NEUTRAL})
        figure.update_xaxes(title="neurons of the layer, the loudest first")
        figure.update_yaxes(title="size of the activation")
        table = pd.DataFrame({"place": range(1, len(sizes) + 1), "size": sizes})
        plot(figure, table, "loud", "Curve: sizes of the layer's activations, the largest first.")

    share = count / len(sizes)
    return Outcome({"count": count, "of": len(sizes), "share": share}, draw, band(share, 0.2, 0.7))


@experiment
def says(neuron: str, words: list[str]) -> Outcome:
    """What a neuron writes: which of the words it pushes most."""
    model, prompt = default_model(), capital_prompt()
    card = neuron_card(model, prompt, Neuron.parse(neuron))
    activation = float(card.activations["activation"].iloc[-1])
    at = [model.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    pushed = predict_many(
        model, model.encode(prompt), [None, Suppress(NeuronSet([Neuron.parse(neuron)]))]
    )
    gains = [float(pushed[0].logits[i] - pushed[1].logits[i]) for i in at]
    gains = [gain - float(np.mean(gains)) for gain in gains]

    def draw() -> None:
        table = pd.DataFrame({"word": words, "pushed by": gains})
        figure = go.Figure(
            go.Bar(x=[visible(w) for w in words], y=table["pushed by"], marker_color=COLOURS[0])
        )
        figure.update_yaxes(title="push (change of the logit)")
        plot(figure, table, "says", "Bars: how much the neuron pushes each word.")
        tokens = ", ".join(f"“{visible(t)}”" for t in card.promotes["token"][:8])
        st.caption(f"Of all tokens it pushes these most by itself: {tokens}.")

    return Outcome({"activation": activation, "gain": max(gains)}, draw, int(np.argmax(gains)))


@experiment
def attributed() -> Outcome:
    """The scores of all neurons of the prompt, layer over layer."""
    scores = capital_scores()
    every = np.concatenate([values.ravel() for values in scores.arrays.values()])
    rising = np.sort(every[every > 0])[::-1]
    fewest = int(np.searchsorted(np.cumsum(rising), rising.sum() / 2) + 1)
    ten = scores.top(10)
    numbers = {
        "neurons": len(every),
        "half": fewest,
        "share": fewest / len(every),
        "ten": float(ten["score"].sum() / rising.sum()),
        "best": f"number {ten['neuron'][0]} of layer {ten['layer'][0]}",
        "best_score": float(ten["score"][0]),
        "late": int((ten["layer"] >= 20).sum()),
    }
    return Outcome(
        numbers,
        lambda: heatmaps.draw(by_layer(scores), "learn", lambda cell: None, files=False),
        band(fewest / len(every), 0.05, 0.6),
    )
