"""Experiments of the lessons on proteins, and on what is stored of them."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from neuronlab.attribution import residue_scores
from neuronlab.attribution.residues import ResidueScores
from neuronlab.figures.colours import COLOURS, NEUTRAL
from neuronlab.models import COMPONENTS, Prompt
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons import predict_many
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.proteins.backbones import backbone
from neuronlab.steering.chains import STEERED, UNSTEERED
from neuronlab.studies.bases.prompts import UBIQUITIN
from neuronlab.widgets import bars, exports, services, state, structure
from neuronlab.widgets.bars import Bar
from pages.learn.experiment import Outcome, band, experiment, plot
from pages.learn.material import stored

_ENZYME = "esm2-8m-enzyme"
# Residues of a sequence that stand in a text.
_SHOWN = 30
_SURE = 0.8


@experiment
def hidden(position: int) -> Outcome:
    """What the masked model expects at a hidden residue of ubiquitin."""
    scores = stored("mutations", "esm2-8m").arrays["log_odds"][position - 1]
    p = np.exp(scores) / np.exp(scores).sum()
    wild = UBIQUITIN[position - 1]
    order = np.argsort(-p)
    rank = int(np.flatnonzero(order == AMINO_ACIDS.index(wild))[0]) + 1
    rows = [
        Bar(AMINO_ACIDS[i], float(p[i]), AMINO_ACIDS[i] == wild)
        for i in dict.fromkeys([*order[:6], AMINO_ACIDS.index(wild)])
    ]
    card = json.loads((files("neuronlab.models") / "data" / "esm2-8m.json").read_text("utf-8"))
    return Outcome(
        {
            "wild": wild,
            "p": float(p[AMINO_ACIDS.index(wild)]),
            "rank": rank,
            "position": position,
            "perplexity": card["test"]["perplexity at masks"],
            "frequencies": card["frequencies alone"],
            "gapped": f"{UBIQUITIN[: position - 1]}?{UBIQUITIN[position:_SHOWN]}",
        },
        lambda: bars.draw(rows, "learn_hidden", "Probability of amino acids."),
        band(rank, 2, 11),
    )


@st.cache_data(max_entries=4, show_spinner="Attributing")
def _residues(sequence: str, target: int) -> ResidueScores:
    model = services.model(_ENZYME, state.device())
    return residue_scores(
        model, sequence, target, None, method="gradient_x_activation", components=COMPONENTS
    )


@experiment
def enzyme(protein: str, residues: list[int]) -> Outcome:
    """Which residues of a known enzyme speak for "enzyme", on its structure."""
    of = backbone(protein)
    values, p, _ = _residues(of.sequence, 1)
    order = np.argsort(-values)
    tenth = set(order[: len(values) // 10].tolist())
    inside = sum(place - 1 in tenth for place in residues)
    colours = {"score": structure.Colour("score", lambda: values)}
    ranks = {place: int(np.flatnonzero(order == place - 1)[0]) + 1 for place in residues}
    table = pd.DataFrame(
        {
            "residue": [f"{of.sequence[place - 1]}{place}" for place in residues],
            "score": [float(values[place - 1]) for place in residues],
            f"rank of {len(values)}": list(ranks.values()),
        }
    )

    def draw() -> None:
        exports.listed(table)
        structure.draw(of.sequence, colours, "learn", secondary=of.secondary)

    return Outcome(
        {
            "p": p,
            "inside": inside,
            "of": len(residues),
            "residues": len(values),
            "best": f"{of.sequence[order[0]]}{order[0] + 1}",
        },
        draw,
        band(inside, 1, len(residues)),
    )


@st.cache_data(max_entries=4, show_spinner="Asking about random letters")
def _random_p(count: int, length: int) -> np.ndarray:
    model = services.model(_ENZYME, state.device())
    letters = np.random.default_rng(0).choice(list(AMINO_ACIDS), (count, length))
    prompts = [model.encode(Prompt("".join(row), target=1)) for row in letters]
    return np.array([predict_many(model, prompt, [None])[0].probability for prompt in prompts])


@experiment
def random_letters(count: int) -> Outcome:
    """How sure the enzyme classifier is of sequences that are no proteins."""
    p = _random_p(count, len(backbone("4I8H_A").sequence))
    enzymes, others = int((p >= _SURE).sum()), int((1 - p >= _SURE).sum())
    sure = enzymes + others

    def draw() -> None:
        figure = go.Figure(go.Histogram(x=p, xbins={"start": 0, "end": 1.0001, "size": 0.1}))
        figure.update_traces(marker_color=COLOURS[0])
        for limit in (1 - _SURE, _SURE):
            figure.add_vline(x=limit, line={"dash": "dot", "color": NEUTRAL})
        figure.update_xaxes(title="probability of “enzyme”", range=[0, 1], tickformat=".0%")
        figure.update_yaxes(title="random sequences")
        table = pd.DataFrame({"probability": p})
        plot(
            figure,
            table,
            "letters",
            "Histogram: what the classifier says of random letters, with the limits of being sure.",
        )

    return Outcome(
        {
            "count": count,
            "sure": sure,
            "enzymes": enzymes,
            "others": others,
            "mean": float(p.mean()),
        },
        draw,
        band(sure / count, 0.15, 0.9),
    )


@experiment
def steered() -> Outcome:
    """What turning neurons up did to an antibody, beside random neurons; stored."""
    n = stored("steering", "antiberty").numbers
    names = {"start": "the start", UNSTEERED: "left alone", STEERED: "steered", RANDOM: "random"}
    names[AS_ACTIVE] = "random, as active"
    means = {key: n[key] if key == "start" else n[key]["mean"] for key in names}

    def draw() -> None:
        figure = go.Figure(go.Bar(x=list(names.values()), y=list(means.values())))
        figure.update_traces(marker_color=COLOURS[0])
        figure.update_yaxes(title="GRAVY")
        table = pd.DataFrame({"what": names.values(), "GRAVY": means.values()})
        plot(figure, table, "steered", "Bars: GRAVY of steered chains and of their controls.")

    random = max(means[RANDOM], means[AS_ACTIVE]) - means["start"]
    steered = means[STEERED] - means["start"]
    return Outcome(
        {**{str(key).replace(" ", "_"): value for key, value in means.items()}, "p": n["p_value"]},
        draw,
        band(random / steered, 0.5, 0.9),
    )


@experiment
def price() -> Outcome:
    """How confident the structure predictor is of steered chains; stored."""
    finals = stored("steering", "antiberty").tables["finals"]
    of = finals.groupby("condition")[["confidence", "confidence_free", "perplexity"]].mean()
    whole = {name: float(of.loc[name, "confidence"]) / 100 for name in (UNSTEERED, STEERED)}
    free = {name: float(of.loc[name, "confidence_free"]) / 100 for name in (UNSTEERED, STEERED)}
    surprise = {name: float(of.loc[name, "perplexity"]) for name in (UNSTEERED, STEERED)}
    rows = [
        Bar("whole chain, left alone", whole[UNSTEERED]),
        Bar("whole chain, steered", whole[STEERED]),
        Bar("changed loops, left alone", free[UNSTEERED]),
        Bar("changed loops, steered", free[STEERED], True),
    ]
    drop = whole[UNSTEERED] - whole[STEERED]
    return Outcome(
        {
            "whole_unsteered": whole[UNSTEERED],
            "whole": whole[STEERED],
            "free_unsteered": free[UNSTEERED],
            "free": free[STEERED],
            "surprise_unsteered": surprise[UNSTEERED],
            "surprise": surprise[STEERED],
        },
        lambda: bars.draw(rows, "learn_price", "Confidence of the structure predictor."),
        band(drop, 0.05, 0.2),
    )
