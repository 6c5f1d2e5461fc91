"""Experiments of the lessons on what switching neurons off does, and on stored results."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from neuronlab.figures.charts import visible
from neuronlab.figures.colours import COLOURS
from neuronlab.models import Prompt
from neuronlab.neurons import Neuron, NeuronSet, Suppress, effect, predict_many
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.widgets import bars
from neuronlab.widgets.bars import Bar
from pages.learn.experiment import Outcome, band, experiment, plot
from pages.learn.material import capital_prompt, capital_scores, default_model, stored


@st.cache_data(max_entries=16, show_spinner="Switching neurons off")
def _switched(count: int) -> Any:
    chosen = capital_scores().select(top=count)
    return effect(default_model(), capital_prompt(), chosen, Suppress)


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
        "neurons": sum(values.size for values in capital_scores().arrays.values()),
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
    if which == "active":  # before that it would answer the question of this step
        rows.append(Bar(f"without {count} as active", active, True))
    return Outcome(
        numbers,
        lambda: bars.draw(rows, f"learn_{which}", "Probability of the answer."),
        _falls(before, shown),
    )


def named(token: str) -> str:
    """A token in a sentence: in quotes, or what it is where there is nothing to see in quotes."""
    word = visible(token).strip("␣ ")
    if word:
        return f"“{word}”"
    return "a space" if len(token) == 1 else "nothing but spaces"


@experiment
def bystander(count: int, text: str, target: str) -> Outcome:
    """Another prompt without the neurons that were chosen for the lesson's."""
    model = default_model()
    encoded = model.encode(Prompt(text, target=target))
    before, after = predict_many(
        model, encoded, [None, Suppress(capital_scores().select(top=count))]
    )
    first = named(model.label(int(after.logits.argmax())))
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
        figure.update_layout(barmode="group")
        table = pd.DataFrame({"layers": names, **counts})
        plot(figure, table, "written", "Bars: where the neurons are that write, and that wake.")

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
    measured = effect(default_model(), capital_prompt(), chosen, Suppress)
    before, after = measured.probability
    rows = [
        Bar("as it is", before),
        Bar(f"without {count} that wake", after, True),
        Bar(f"without {count} random ones", measured.mean(RANDOM)),
        Bar(f"without {count} as active", measured.mean(AS_ACTIVE)),
    ]
    numbers = {"random": measured.mean(RANDOM), "active": measured.mean(AS_ACTIVE)}
    return Outcome(
        {"before": before, "after": after, "count": count, **numbers},
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
        table = pd.DataFrame({"what": words, "in common": means})
        plot(figure, table, "shared", "Bars: neurons in common.")

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
    model, prompt = default_model(), capital_prompt()
    seen = model.read(model.encode(prompt), ("ffn",))
    sizes = np.stack([seen[i, "ffn"][0, -1].abs().numpy(force=True) for i in range(model.layers)])
    layers, indices = np.unravel_index(np.argsort(-sizes, axis=None)[:count], sizes.shape)
    loudest = NeuronSet(
        Neuron(int(layer), "ffn", int(index)) for layer, index in zip(layers, indices, strict=True)
    )
    best = capital_scores()
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
