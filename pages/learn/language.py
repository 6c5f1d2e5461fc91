"""Experiments of the lessons on a language model, and on what is stored of one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from neuronlab import examples
from neuronlab.errors import UserError
from neuronlab.examples import DEFAULT_MODEL
from neuronlab.figures.block import SHOWN, Stage
from neuronlab.figures.block import block as drawing
from neuronlab.figures.charts import MARGIN, visible
from neuronlab.figures.colours import COLOURS, NEUTRAL
from neuronlab.figures.heatmaps import by_layer
from neuronlab.models import Model, Prompt
from neuronlab.models.catalogue import entry
from neuronlab.neurons import Neuron, NeuronSet, Suppress, effect, predict_many
from neuronlab.neurons.card import neuron_card
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.runs import Result
from neuronlab.studies.attribution import scores_of
from neuronlab.widgets import bars, heatmaps, services, state
from neuronlab.widgets.bars import Bar
from pages.learn.experiment import Outcome, band, experiment

# What a person is told to be loud: of a neuron against the loudest of its layer.
_LOUD = 0.2
_FIRST = 5


def stored(study: str, model: str = DEFAULT_MODEL) -> Result:
    """What a page opens on: it comes with the project.

    Raises:
        UserError: it does not, and was not computed here either.
    """
    of = entry(model)
    first = examples.first(study, of) if study != "attribution" else examples.example(model)
    if first is None or not services.at_hand(first.key):
        raise UserError("The result that this step shows is not on this server: see the page Runs.")
    return services.result(first.key)[1]


def default_model() -> Model:
    """The language model of all lessons."""
    return services.model(DEFAULT_MODEL, state.device())


def _prompt() -> Prompt:
    spec = examples.example(DEFAULT_MODEL)
    return replace(spec.prompt, target=int(stored("attribution").numbers["target"]))


def _best(count: int) -> NeuronSet:
    return scores_of(stored("attribution")).select(top=count)


@experiment
def block(layer: int) -> Outcome:
    """The lesson's prompt on its way through one block."""
    model, prompt, result = default_model(), _prompt(), stored("value_query")
    encoded = model.encode(prompt)
    seen = model.read(encoded, ("query", "key", "value", "ffn"))
    at = {c: seen[layer, c][0, -1].float().numpy(force=True) for c in ("query", "key", "value")}
    ffn = seen[layer, "ffn"][0, -1].float().numpy(force=True)
    token = model.hf.get_input_embeddings()(encoded.input_ids)[0, -1].float().numpy(force=True)
    looks = result.tables["head_positions"]
    looks = looks[looks["layer"] == layer].groupby("position")["attention"].mean()
    loudest = np.argsort(-np.abs(ffn))[:SHOWN]
    path = result.tables["path"].set_index("state")["probability"]
    choices = result.tables["predictions"].head(_FIRST)
    last = encoded.tokens[-1].strip()
    words = {
        "query": "What this place asks the earlier ones for",
        "key": "What this place offers to be found by",
        "value": "What this place would hand on to later ones",
    }
    stages = [
        Stage("Tokens", "The sentence in pieces.", [(t, None) for t in encoded.tokens]),
        Stage(
            "Embedding",
            f"“{last}” becomes {len(token):,} numbers.",
            [("", float(value)) for value in token[:SHOWN]],
            of=len(token),
        ),
        *(
            Stage(
                c.title(),
                f"{said}: {len(at[c]):,} numbers, each a neuron.",
                [("", float(value)) for value in at[c][:SHOWN]],
                of=len(at[c]),
            )
            for c, said in words.items()
        ),
        Stage(
            "Attention",
            "How much is read from each place, where query and key fit (mean of the heads).",
            [(t, float(looks[i])) for i, t in enumerate(encoded.tokens)],
            percent=True,
        ),
        Stage(
            "FFN",
            f"{len(ffn):,} neurons look at what was gathered; the loudest, by their numbers.",
            [(str(i), float(ffn[i])) for i in loudest],
            of=len(ffn),
        ),
        Stage(
            "Stream",
            "All of it is added up. Read here already, the next token would be",
            [(" Paris", float(path[f"ffn {layer}"]))],
            percent=True,
        ),
        Stage(
            "Next token",
            f"After {model.layers} such blocks:",
            [(str(c.token), float(c.probability)) for c in choices.itertuples()],
            percent=True,
        ),
    ]
    numbers = {
        "layer": layer,
        "layers": model.layers,
        "width": len(token),
        "ffn": len(ffn),
        "here": float(path[f"ffn {layer}"]),
        "end": float(choices["probability"].iloc[0]),
        "neurons": model.layers * sum(model.sizes[c] for c in ("query", "key", "value", "ffn")),
    }

    def draw() -> None:
        st.html(drawing(stages))

    return Outcome(numbers, draw)


@experiment
def loud(layer: int) -> Outcome:
    """How many FFN neurons of a layer say anything on the prompt."""
    seen = default_model().read(default_model().encode(_prompt()), ("ffn",))[layer, "ffn"]
    sizes = np.sort(np.abs(seen[0, -1].float().numpy(force=True)))[::-1]
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
        st.plotly_chart(figure.update_layout(height=260, margin=MARGIN), key="learn_loud")

    share = count / len(sizes)
    return Outcome({"count": count, "of": len(sizes), "share": share}, draw, band(share, 0.2, 0.7))


@experiment
def says(neuron: str, words: list[str]) -> Outcome:
    """What a neuron writes: which of the words it pushes most."""
    model, prompt = default_model(), _prompt()
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
        st.plotly_chart(figure.update_layout(height=240, margin=MARGIN), key="learn_says")
        tokens = ", ".join(f"“{visible(t)}”" for t in card.promotes["token"][:8])
        st.caption(f"Of all tokens it pushes these most by itself: {tokens}.")

    return Outcome({"activation": activation, "gain": max(gains)}, draw, int(np.argmax(gains)))


@experiment
def attributed() -> Outcome:
    """The scores of all neurons of the prompt, layer over layer."""
    scores = scores_of(stored("attribution"))
    every = np.concatenate([values.ravel() for values in scores.arrays.values()])
    rising = np.sort(every[every > 0])[::-1]
    half = int(np.searchsorted(np.cumsum(rising), rising.sum() / 2) + 1)
    ten = scores.top(10)
    numbers = {
        "neurons": len(every),
        "half": half,
        "share": half / len(every),
        "ten": float(ten["score"].sum() / rising.sum()),
        "best": f"{ten['layer'][0]}.{ten['neuron'][0]}",
        "late": int((ten["layer"] >= 20).sum()),
    }
    return Outcome(
        numbers,
        lambda: heatmaps.draw(by_layer(scores), "learn", lambda cell: None, files=False),
        band(half / len(every), 0.05, 0.6),
    )


@st.cache_data(max_entries=16, show_spinner="Switching neurons off")
def _switched(count: int) -> Any:
    chosen = _best(count)
    return effect(default_model(), _prompt(), chosen, Suppress)


def _falls(before: float, after: float) -> int:
    """Which choice of "hardly", "a good part", "nearly all of it goes" is right."""
    return 2 - band(after / before, 0.2, 0.8)


@experiment
def switch(count: int, which: str = "best") -> Outcome:
    """The answer without the best neurons, or without random ones of either kind."""
    measured = _switched(count)
    before, after = measured.probability
    random, active = measured.mean(RANDOM), measured.mean(AS_ACTIVE)
    shown = {"best": after, "random": random, "active": active}[which]
    numbers = {
        "count": count,
        "neurons": sum(values.size for values in scores_of(stored("attribution")).arrays.values()),
        "before": before,
        "after": after,
        "random": random,
        "active": active,
        "sets": len(measured.controls[RANDOM]),
        "p": measured.p(measured.stronger),
    }
    rows = [Bar("as it is", before), Bar(f"without the {count} best", after, which == "best")]
    if which != "best":
        rows.append(Bar(f"without {count} random ones", random, which == "random"))
        rows.append(Bar(f"without {count} as active", active, which == "active"))
    return Outcome(
        numbers,
        lambda: bars.draw(rows, f"learn_{which}", "Probability of the answer."),
        _falls(before, shown),
    )


@experiment
def bystander(count: int, text: str, target: str) -> Outcome:
    """Another prompt without the neurons that were chosen for the lesson's."""
    model = default_model()
    encoded = model.encode(Prompt(text, target=target))
    before, after = predict_many(model, encoded, [None, Suppress(_best(count))])
    first = visible(model.label(int(after.logits.argmax()))).strip("␣")
    first = f"“{first}”" if first else "nothing that can be seen"
    rows = [Bar("as it is", before.probability), Bar("without them", after.probability, True)]
    still = "still" if int(after.logits.argmax()) == before.target else "now"
    numbers = {"before": before.probability, "after": after.probability}
    return Outcome(
        {**numbers, "first": first, "still": still},
        lambda: bars.draw(rows, f"learn_{target.strip()}", f"Probability of {target}."),
        _falls(before.probability, after.probability),
    )


@experiment
def written() -> Outcome:
    """In which layers the neurons sit that write the answer, and those that wake them."""
    result = stored("value_query")
    layers = int(result.tables["layers"]["layer"].max()) + 1
    writers = result.tables["neurons"].head(20)
    wakers = result.tables["query_neurons"]
    wakers = wakers[wakers["of"] == "ffn"].head(20)
    edges = [0, layers // 3, 2 * layers // 3, layers]
    counts = {
        name: np.histogram(table["layer"], bins=edges)[0].tolist()
        for name, table in (("write", writers), ("wake", wakers))
    }

    def draw() -> None:
        figure = go.Figure()
        names = [f"layers {a} to {b - 1}" for a, b in pairwise(edges)]
        for (name, values), colour in zip(counts.items(), (COLOURS[0], COLOURS[1]), strict=True):
            figure.add_bar(x=names, y=values, name=f"neurons that {name}", marker_color=colour)
        figure.update_yaxes(title="of the 20 best")
        figure.update_layout(height=260, margin=MARGIN, barmode="group")
        st.plotly_chart(figure, key="learn_written")

    return Outcome(
        {
            "write_late": counts["write"][2],
            "wake_late": counts["wake"][2],
            "write_layer": float(writers["layer"].median()),
            "wake_layer": float(wakers["layer"].median()),
            "layers": layers,
        },
        draw,
        int(np.argmax(counts["write"])),
    )


@experiment
def unwoken(count: int) -> Outcome:
    """The answer without the neurons that wake those that write it."""
    table = stored("value_query").tables["query_neurons"]
    table = table[table["of"] == "ffn"].head(count)
    chosen = NeuronSet(
        Neuron(int(row.layer), row.component, int(row.neuron)) for row in table.itertuples()
    )
    measured = effect(default_model(), _prompt(), chosen, Suppress)
    before, after = measured.probability
    rows = [
        Bar("as it is", before),
        Bar(f"without {count} that wake", after, True),
        Bar(f"without {count} random ones", measured.mean(RANDOM)),
    ]
    return Outcome(
        {"before": before, "after": after, "random": measured.mean(RANDOM), "count": count},
        lambda: bars.draw(rows, "learn_unwoken", "Probability of the answer."),
        _falls(before, after),
    )


@experiment
def shared() -> Outcome:
    """How many neurons facts share between two languages; stored, of Gemma 3 270M."""
    result = stored("language_independent", "gemma3-270m")
    numbers, overlap = result.numbers, result.tables["overlap"]
    names = ("shared", "same_relation", "other_relation", "expected")
    means = [float(numbers[name]) for name in names]

    def draw() -> None:
        words = ("same fact, two languages", "another fact of the kind", "other kind", "by chance")
        figure = go.Figure(go.Bar(y=words, x=means, orientation="h", marker_color=COLOURS[0]))
        figure.update_yaxes(autorange="reversed")
        figure.update_xaxes(title="FFN neurons in common")
        st.plotly_chart(figure.update_layout(height=240, margin=MARGIN), key="learn_shared")

    return Outcome(
        {
            **dict(zip(names, means, strict=True)),
            "facts": numbers["facts"],
            "neurons": numbers["layers"] * numbers["size"],
            "english": float(overlap["en"].mean()),
            "chinese": float(overlap["zh"].mean()),
        },
        draw,
        band(means[0], 0.5, 100),
    )


@experiment
def pair() -> Outcome:
    """The pair whose loss together is most beyond what two separate effects would leave."""
    result = stored("degenerate_pairs")
    before = float(stored("attribution").numbers["probability"])
    table = result.tables["all_pairs"]
    table = table[(table["p_a"] > 0.8 * before) & (table["p_b"] > 0.8 * before)]
    best = table.sort_values("synergy").iloc[0]
    rows = [
        Bar("as it is", before),
        Bar("without the one", float(best["p_a"])),
        Bar("without the other", float(best["p_b"])),
        Bar("without both", float(best["p_ab"]), True),
    ]
    numbers: dict[str, Any] = {
        name: float(best[name]) for name in ("p_a", "p_b", "p_ab", "product", "synergy")
    }
    numbers |= {"before": before}
    for side in ("a", "b"):
        numbers[side] = f"{best[f'layer_{side}']:.0f}.{best[f'neuron_{side}']:.0f}"
    return Outcome(
        numbers,
        lambda: bars.draw(rows, "learn_pair", "Probability of the answer."),
        band(numbers["synergy"], 0.97, 1.03),
    )


@experiment
def loudest_off(count: int) -> Outcome:
    """The loudest neurons against those with the best scores, both switched off."""
    model, prompt = default_model(), _prompt()
    seen = model.read(model.encode(prompt), ("ffn",))
    sizes = np.stack([seen[i, "ffn"][0, -1].abs().numpy(force=True) for i in range(model.layers)])
    layers, indices = np.unravel_index(np.argsort(-sizes, axis=None)[:count], sizes.shape)
    loudest = NeuronSet(
        Neuron(int(layer), "ffn", int(index)) for layer, index in zip(layers, indices, strict=True)
    )
    best = scores_of(stored("attribution"))
    chosen = NeuronSet(
        Neuron(int(r.layer), "ffn", int(r.neuron))
        for r in best.top(1000).query("component == 'ffn'").head(count).itertuples()
    )
    encoded = model.encode(prompt)
    before, loud, ours = predict_many(model, encoded, [None, Suppress(loudest), Suppress(chosen)])
    rows = [
        Bar("as it is", before.probability),
        Bar(f"without the {count} loudest", loud.probability),
        Bar(f"without the {count} best by score", ours.probability, True),
    ]
    both = len(loudest & chosen)
    return Outcome(
        {
            "before": before.probability,
            "loud": loud.probability,
            "best": ours.probability,
            "both": both,
            "count": count,
        },
        lambda: bars.draw(rows, "learn_loudest", "Probability of the answer."),
        0 if loud.probability < ours.probability else 1,
    )


@experiment
def best_of_random(count: int) -> Outcome:
    """Of the random sets the one that did most, as if it had been the only one."""
    measured = _switched(count)
    before = measured.probability[0]
    values = np.array(measured.controls[AS_ACTIVE])
    rows = [Bar("as it is", before), Bar("the random sets, on average", float(values.mean()))]
    rows.append(Bar(f"the one of {len(values)} that did most", float(values.min()), True))
    return Outcome(
        {
            "before": before,
            "mean": float(values.mean()),
            "worst": float(values.min()),
            "sets": len(values),
        },
        lambda: bars.draw(rows, "learn_best_of", "Probability of the answer."),
        2 - band(float(values.min()) / before, 0.6, 0.9),
    )
