"""A label for every neuron of a language model, from the words where it is most positive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.labels.contexts import counted, token_ids, words
from neuronlab.labels.token_labels import (
    FEW,
    ROLES,
    Judge,
    TokenLabel,
    frequencies,
    judge,
    standing,
    token_labels,
)
from neuronlab.models import Component, Model
from neuronlab.runs import Context, Result, Study
from neuronlab.statistics import seeds
from neuronlab.studies.bases.prompts import Described
from neuronlab.studies.contexts import JUDGING, ContextsSpec, ContextsStudy

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Tokens that a neuron promotes, as many as are kept.
_PROMOTED = 2
# A label with this held-out correlation, or more, says something about the neuron.
PREDICTS = 0.2


class TokenLabelsSpec(ContextsSpec):
    """Whose neurons are labelled, from how many texts."""

    study: ClassVar[str] = "token_labels"


class TokenLabelsStudy(Study[TokenLabelsSpec]):
    """Says what the words are where every neuron is most positive, and tests it on other texts.

    Table ``labels``: model, layer, component, neuron; label ("at “dog”, “cat”"; "" where the places
    have nothing in common beyond chance), role, p; peaks, the words at its places; correlation of
    the label with the activation over the tokens of the texts that judge (nan where fewer than 5
    of these tokens bear its words), control_correlation, the same with the label of another neuron
    of its layer, and bearing, how many tokens do; promotes, the tokens whose logits an FFN neuron
    raises most by what it writes where it is positive.

    Numbers: neurons, labelled, distinct, judged (texts), tokens (of these), tested (labels with a
    correlation), predicting (those with one above .2), correlation and control_correlation
    (medians), texts and read (texts and tokens that the places are of).
    """

    name = "token_labels"
    title = "Words that each neuron answers to"
    spec_type = TokenLabelsSpec
    needing = 0.85

    def default(self) -> TokenLabelsSpec:
        """All FFN neurons of SmolLM2 on all texts."""
        return TokenLabelsSpec()

    def needs(self, spec: TokenLabelsSpec) -> list[tuple[Study, ContextsSpec]]:
        """The places."""
        return [(ContextsStudy(), spec.contexts)]

    def example(self, model: Described) -> TokenLabelsSpec | None:
        """Some texts, of a language model."""
        places = ContextsStudy().example(model)
        return None if places is None else TokenLabelsSpec(**dict(places))

    def cost(self, spec: TokenLabelsSpec, context: Context) -> Cost:
        """Two passes, over all texts and those that judge; and what FFN neurons promote."""
        cost = ContextsStudy().cost(spec.contexts, context)
        model = context.model(spec.model, spec.revision)
        writing = model.layers * model.sizes["ffn"] if "ffn" in spec.components else 0
        return replace(
            cost, seconds=cost.seconds * (1 + 2 * JUDGING) + seconds(model, 0, 0, writing)
        )

    def run_shard(self, spec: TokenLabelsSpec, shard: Any, context: Context) -> Result:
        """Labels from the places, judged on the texts kept apart."""
        model = context.model(spec.model, spec.revision)
        (places,) = context.given
        vocabulary, of_token = words(model)
        context.progress(0.0, "reading the texts")
        texts = spec.texts
        judging = spec.judging(len(texts))
        explaining = token_ids(model, [t for t, out in zip(texts, judging, strict=True) if not out])
        frequency = np.bincount(of_token[np.concatenate(explaining)], minlength=len(vocabulary))
        ids = token_ids(model, places.tables["texts"]["text"].tolist())
        labels, peaks = {}, {}
        for number, c in enumerate(spec.components):
            context.progress(0.1 + 0.2 * number / len(spec.components), "naming what is common")
            there = _standing(places, c, ids, of_token)
            flat = {role: there[role].reshape(-1, there[role].shape[-1]) for role in ROLES}
            every = token_labels(flat, frequency / frequency.sum())
            size = model.sizes[c]
            labels[c] = [every[i : i + size] for i in range(0, len(every), size)]
            peaks[c] = [" ".join(dict.fromkeys(vocabulary[w] for w in row)) for row in flat["at"]]
        held = token_ids(model, [t for t, out in zip(texts, judging, strict=True) if out])
        bearing = frequencies(held, of_token, counted(model))
        others = {c: _others(of_layers, bearing, spec) for c, of_layers in labels.items()}
        judges = [
            {c: Judge(of_layers, len(vocabulary)) for c, of_layers in each.items()}
            for each in (labels, others)
        ]
        part = context.part(0.3, 0.3)
        judge(model, held, of_token, judges, lambda done: part.progress(done, "judging labels"))
        tables = []
        for c in spec.components:
            promoted = _promoted(model, context.part(0.6, 0.4)) if c == "ffn" else None
            tables.append(
                _table(spec.model, c, labels[c], vocabulary, peaks[c], [j[c] for j in judges])
            )
            tables[-1]["promotes"] = promoted if promoted is not None else ""
        table = pd.concat(tables, ignore_index=True)
        kept = table[table["label"] != ""]
        numbers = {
            "neurons": len(table),
            "labelled": len(kept),
            "distinct": kept["label"].nunique(),
            "judged": len(held),
            "tokens": sum(map(len, held)),
            "tested": int(kept["correlation"].notna().sum()),
            "predicting": int((kept["correlation"] > PREDICTS).sum()),
            "correlation": float(kept["correlation"].median()),
            "control_correlation": float(kept["control_correlation"].median()),
            "texts": places.numbers["texts"],
            "read": places.numbers["tokens"],
        }
        return Result(numbers, {"labels": table})

    def plot(self, spec: TokenLabelsSpec, result: Result) -> go.Figure:
        """How well labels predict, on texts that nobody used, beside another neuron's label."""
        from neuronlab.figures.labels import correlations

        table = result.tables["labels"]
        named = table[table["label"] != ""]
        return correlations(named, judges="definitions", control="another neuron's label")


def _standing(
    places: Result, component: Component, ids: Sequence[list[int]], of_token: np.ndarray
) -> dict[str, np.ndarray]:
    """By role the words (layer, neuron, kept) at the places where a neuron is most active."""
    begin = np.cumsum([0, *map(len, ids)])
    text, token = (places.arrays[f"top_{part}.{component}"] for part in ("text", "token"))
    return {
        role: np.concatenate([standing(np.array(row), of_token, role) for row in ids])[
            begin[text] + token
        ]
        for role in ROLES
    }


def _others(
    layers: Sequence[Sequence[TokenLabel]],
    bearing: dict[str, Int[np.ndarray, " word"]],
    spec: TokenLabelsSpec,
) -> list[list[TokenLabel]]:
    """For each neuron whose label can be judged that of another one of its layer: the control."""
    swapped = []
    for number, labels in enumerate(layers):
        draw = np.random.default_rng([seeds(spec.seed, 3)[2], number])
        named = draw.permutation(
            [
                n
                for n, label in enumerate(labels)
                if label.role and bearing[label.role][list(label.words)].sum() >= FEW
            ]
        )
        others = [TokenLabel()] * len(labels)
        for neuron, other in zip(named, np.roll(named, 1), strict=True):
            others[neuron] = labels[other]
        swapped.append(others)
    return swapped


@torch.no_grad()
def _promoted(model: Model, context: Context) -> list[str] | None:
    """The tokens that a neuron's output raises most where it is positive, through the norm.

    None where the unembedding does not read the stream itself.
    """
    norm = model.family.final_norm(model.hf)
    if norm is None or model.kind != "causal":
        return None
    scale, unembedding = model.family.norm_scale(norm), model.hf.get_output_embeddings().weight
    promoted = []
    for layer in range(model.layers):
        context.progress(layer / model.layers, "reading what neurons write")
        directions = model.family.directions(model.block(layer), "ffn") * scale
        best = (directions @ unembedding.T).topk(_PROMOTED).indices
        promoted += [" ".join(f"“{model.token(t)}”" for t in row) for row in best.tolist()]
    return promoted


def _table(
    model: str,
    component: Component,
    layers: Sequence[Sequence[TokenLabel]],
    vocabulary: Sequence[str],
    peaks: Sequence[str],
    judges: Sequence[Judge],
) -> pd.DataFrame:
    judge, control = judges
    labels = [label for of_layer in layers for label in of_layer]
    layer, neuron = np.indices(judge.bearing.shape)
    return pd.DataFrame(
        {
            "model": model,
            "layer": layer.ravel().astype(np.int32),
            "component": component,
            "neuron": neuron.ravel().astype(np.int32),
            "label": [label.text(vocabulary) for label in labels],
            "role": [label.role for label in labels],
            "p": np.array([float(f"{label.p:.2g}") for label in labels], np.float32),
            "peaks": peaks,
            "correlation": judge.correlation.ravel().round(3).astype(np.float32),
            "control_correlation": control.correlation.ravel().round(3).astype(np.float32),
            "bearing": judge.bearing.ravel().astype(np.int32),
        }
    )
