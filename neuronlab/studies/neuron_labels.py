"""A label for every neuron: explain its proteins, then simulate it (arXiv 2507.06458).

Hypotheses are made from some proteins, the best is chosen on others, and its correlation is told on
a third part: nothing that a label is judged by has been seen by whoever made or chose it. Beside it
stands what the labels of the other neurons of the layer get, and how many of them it beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import ConfigDict, Field
from scipy.stats import entropy

from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.labels import chat, endpoint, judging, longformer, prompts, traits
from neuronlab.labels.judging import CORRELATIONS, TEXTS
from neuronlab.labels.proteins import (
    CHOSEN,
    EXPLAINED,
    JUDGED,
    READ,
    STATISTICS,
    DescribedProteins,
    example,
)
from neuronlab.labels.simulation import Hypothesis, correlations, from_traits
from neuronlab.labels.statistics import LEVEL, adjusted, candidates
from neuronlab.models import Component, Model, sentences
from neuronlab.models.catalogue import use_of
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.bases.prompts import Described
from neuronlab.studies.exemplars import ExemplarsSpec, ExemplarsStudy

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Proteins of either end that an explainer reads.
TOP_READ, BOTTOM_READ = 10, 5
NUMBERS = (*CORRELATIONS, "control_correlation", "beaten", "effect")


class NeuronLabelsSpec(ExemplarsSpec):
    """Whose proteins, who explains them, and who judges.

    Attributes:
        explainer: "statistics", an OpenAI-compatible "endpoint", or a "chat" model of the
            catalogue.
        simulator: predicts activations from the "traits" a label names, from the likeness of label
            and annotations ("sentences"), or by a trained "longformer".
        candidates: hypotheses of single traits per neuron (statistics), or answers (others).
        per_layer: as many neurons of every layer, drawn at random; None labels all.
        variant: of the prompt; "authors" as in the paper's code.
        address, answers_by: of the endpoint: where it is and its model; or the chat model's name.
            The key is no part of a spec.
        temperature: of answers.
        longformer: folder of a trained simulator.
    """

    # What is refused may be a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    study: ClassVar[str] = "neuron_labels"
    version: ClassVar[int] = 2

    explainer: Literal["statistics", "endpoint", "chat"] = "statistics"
    simulator: Literal["traits", "sentences", "longformer"] = "traits"
    candidates: int = Field(3, ge=1, le=10)
    per_layer: int | None = Field(None, ge=1)
    variant: Literal["neuronlab", "authors"] = "neuronlab"
    address: endpoint.Address = ""
    answers_by: str = ""
    temperature: float = Field(prompts.TEMPERATURE, ge=0, le=2)
    longformer: str = ""

    @property
    def exemplars(self) -> ExemplarsSpec:
        """The proteins that labels are made from."""
        return ExemplarsSpec(**{name: getattr(self, name) for name in ExemplarsSpec.model_fields})

    @property
    def source(self) -> str:
        """Who explains, as label rows say it."""
        if self.explainer == STATISTICS:
            return STATISTICS
        if self.explainer == "chat":
            return f"chat: {self.answers_by}"
        return f"endpoint: {self.answers_by} at {self.address}"


class NeuronLabelsStudy(Study[NeuronLabelsSpec]):
    """Says in words what drives every neuron of a protein model, and tests it on held-out proteins.

    Table ``labels``; a neuron without a label has "", and nan for what is said of labels:

    - model, layer, component, neuron, label, source.
    - correlation: Pearson's, on the proteins that judge; unrelated_correlation and
      related_correlation, on those of them without and with a relative among the proteins that
      explain (``families``; nan where these are fewer than 10).
    - control_correlation: the mean with the best hypotheses of the layer's other neurons, each
      turned the way in which it correlates with this one on the proteins that choose; beaten: the
      share of them that its own label beats, equal ones counting half (``simulation.controls``).
    - concept (the first trait it names), group (sequence, structure, or the annotation's kind) and
      effect (rank-biserial, of that trait).
    - q: false discovery rate of the label. A label's p is the largest of the traits it names, each
      times the number of traits; Benjamini and Hochberg run over all live neurons of the study,
      with p = 1 where no trait is named. For the built-in explainer only what has q < .05 is a
      label. An endpoint's and a chat model's labels stay whatever their q, and have none where they
      name no known trait. The test takes proteins as independent of one another; relatives are
      not, and the correlation has the last word.

    Table ``hypotheses``: layer, component, neuron, text, source, correlation (on the proteins that
    choose).

    Numbers: neurons; live; named (with a hypothesis that can be judged) and labelled; distinct and
    entropy (bits) of the labels; the medians of all correlations, and the mean of beaten; judged
    (proteins), and related, the share of them that have a relative among those that explain.
    """

    name = "neuron_labels"
    title = "What each neuron knows"
    spec_type = NeuronLabelsSpec
    unit = "layers"
    previews = True
    merging = 0.05
    needing = 0.7
    distributed = True

    def default(self) -> NeuronLabelsSpec:
        """All FFN neurons of the antibody model, from germline genes."""
        return NeuronLabelsSpec()

    def needs(self, spec: NeuronLabelsSpec) -> list[tuple[Study, ExemplarsSpec]]:
        """The exemplars; what must fail later for want of settings or proteins fails here."""
        if spec.explainer == "endpoint":
            endpoint.for_run(spec.address, spec.answers_by, spec.key)
        if spec.explainer == "chat" and not spec.answers_by:
            raise UserError("Name the chat model that explains, or choose another explainer.")
        if spec.simulator == "longformer" and not spec.longformer:
            raise UserError("Name the folder of a trained Longformer, or choose another simulator.")
        explained = int((spec.sides(spec.proteins()) == EXPLAINED).sum())
        if explained < 2 * spec.keep:
            raise UserError(
                f"{explained} proteins explain neurons, too few to compare {spec.keep} of them "
                "with the others: add proteins or keep fewer at either end."
            )
        return [(ExemplarsStudy(), spec.exemplars)]

    def shards(self, spec: NeuronLabelsSpec, context: Context) -> list[tuple[Component, int]]:
        """Layers of every component."""
        (exemplars,) = context.given
        layers = {c: len(exemplars.arrays[f"mean.{c}"]) for c in spec.components}
        return [(c, layer) for c in spec.components for layer in range(layers[c])]

    def example(self, model: Described) -> NeuronLabelsSpec | None:
        """Labels of some neurons of a protein model."""
        return small(model.name, model.revision) if model.alphabet == "protein" else None

    def cost(self, spec: NeuronLabelsSpec, context: Context) -> Cost:
        """Exemplars, statistics and a chat model; an endpoint's time is not known."""
        model = context.model(spec.model, spec.revision)
        neurons = model.layers * sum(model.sizes[c] for c in spec.components)
        answered = self.neurons_explained(spec, model) if spec.explainer == "chat" else 0
        exemplars = ExemplarsStudy().cost(spec.exemplars, context)
        return replace(exemplars, seconds=exemplars.seconds + neurons * 1e-3 + answered * 14.0)

    def neurons_explained(self, spec: NeuronLabelsSpec, model: Model) -> int:
        """How many neurons are explained."""
        each = (min(spec.per_layer or model.sizes[c], model.sizes[c]) for c in spec.components)
        return model.layers * sum(each)

    def run_shard(
        self, spec: NeuronLabelsSpec, shard: tuple[Component, int], context: Context
    ) -> Result:
        """The labels of one layer."""
        component, layer = shard
        (exemplars,) = context.given
        proteins = DescribedProteins(exemplars.tables["proteins"])
        arrays = exemplars.arrays
        neurons = _drawn(spec, layer, arrays[f"mean.{component}"].shape[1])
        separation = proteins.explainer.separation(arrays[f"top_at.{component}"][layer, neurons])
        if spec.explainer == STATISTICS:
            of_neurons = [
                [proteins.hypothesis(terms) for terms in of_neuron]
                for of_neuron in candidates(separation, spec.candidates)
            ]
        else:
            of_neurons = _answers(spec, exemplars, proteins, component, layer, neurons, context)
        alive = arrays[f"sd.{component}"][layer, neurons] > 1e-6
        numbered = [(n, h) for n in np.flatnonzero(alive).tolist() for h in of_neurons[n]]
        rows = np.array([n for n, _ in numbered], int)
        hypotheses = [hypothesis for _, hypothesis in numbered]
        activations = arrays[f"held.{component}"][:, layer, neurons].astype(np.float32).T
        predicted = _predicted(spec, hypotheses, proteins, context)
        choosing = proteins.side == CHOSEN
        r = correlations(predicted[:, choosing], activations[rows][:, choosing])
        best = judging.best(rows, r)
        chosen, labelled = np.array(list(best.values()), int), np.array(list(best), int)
        places = {"layer": layer, "component": component}
        columns = {name: np.full(len(neurons), "", object) for name in TEXTS}
        columns |= {name: np.full(len(neurons), np.nan) for name in NUMBERS}
        columns["p"] = np.where(alive, 1.0, np.nan)
        tested = judging.tested(proteins, [hypotheses[i] for i in chosen], labelled, separation)
        judged = judging.judged(proteins, predicted[chosen], activations[labelled])
        for name, values in (tested | judged).items():
            columns[name][labelled] = values
        labels = {"model": spec.model, **places, "neuron": neurons, "source": spec.source}
        proposed = {
            **places,
            "neuron": neurons[rows],
            "text": [hypothesis.text for hypothesis in hypotheses],
            "source": spec.source,
            "correlation": r,
        }
        judges = proteins.side == JUDGED
        related = float(proteins.related[judges].mean())
        tables = {"labels": pd.DataFrame(labels | columns), "hypotheses": pd.DataFrame(proposed)}
        return Result({"judged": int(judges.sum()), "related": related}, tables)

    def merge(self, spec: NeuronLabelsSpec, parts: Sequence[Result], context: Context) -> Result:
        """All layers; false discovery rates over all neurons."""
        labels = pd.concat([part.tables["labels"] for part in parts], ignore_index=True)
        live = labels["p"].notna()
        labels["q"] = np.nan
        labels.loc[live, "q"] = adjusted(labels.loc[live, "p"].to_numpy())
        labels.loc[labels["concept"] == "", "q"] = np.nan
        named = labels["label"] != ""
        if spec.explainer == STATISTICS:
            chance = ~(labels["q"] < LEVEL)
            labels.loc[chance, list(TEXTS)] = ""
            labels.loc[chance, [*NUMBERS, "q"]] = np.nan
        kept = labels[labels["label"] != ""]
        counts = kept["label"].value_counts().to_numpy()
        numbers = {
            "neurons": len(labels),
            "live": int(live.sum()),
            "named": int(named.sum()),
            "labelled": len(kept),
            "distinct": len(counts),
            "entropy": float(entropy(counts, base=2)) if len(counts) else 0.0,
            **{name: _median(kept[name]) for name in (*CORRELATIONS, "control_correlation")},
            "beaten": float(kept["beaten"].mean()),
            "judged": parts[0].numbers["judged"],
            "related": parts[0].numbers["related"],
            "layers": int(labels["layer"].max()) + 1,
        }
        hypotheses = pd.concat([part.tables["hypotheses"] for part in parts], ignore_index=True)
        return Result(numbers, {"labels": labels.drop(columns="p"), "hypotheses": hypotheses})

    def plot(self, spec: NeuronLabelsSpec, result: Result) -> go.Figure:
        """How well labels predict, on proteins that nobody used, beside other neurons' labels."""
        from neuronlab.figures.labels import correlations

        table = result.tables["labels"]
        return correlations(table[table["label"] != ""])


def small(model: str, revision: str) -> NeuronLabelsSpec:
    """Labels of some neurons on some proteins, in seconds."""
    return NeuronLabelsSpec(
        model=model,
        revision=revision,
        corpus=use_of(model).corpus,
        limit=300,
        held_out=100,
        per_layer=128,
    )


def examples(
    exemplars: Result, component: Component, layer: int, neuron: int, count: int, end: str = "top"
) -> list[prompts.Example]:
    """The proteins at one end of a neuron ("top" or "bottom"), as an explainer reads them."""
    table = exemplars.tables["proteins"]
    at = exemplars.arrays[f"{end}_at.{component}"][layer, neuron, :count]
    values = exemplars.arrays[f"{end}.{component}"][layer, neuron, :count]
    rows = table.iloc[at].iterrows()
    return [example(row, float(value)) for (_, row), value in zip(rows, values, strict=True)]


def question(
    spec: NeuronLabelsSpec, exemplars: Result, component: Component, layer: int, neuron: int
) -> list[dict[str, str]]:
    """What an endpoint or a chat model is asked about a neuron."""
    name = f"{layer}.{component}.{neuron}"
    if spec.variant == "authors":
        top = examples(exemplars, component, layer, neuron, prompts.AUTHORS_EXAMPLES)
        return prompts.messages(name, top, variant="authors")
    table = exemplars.tables["proteins"]
    typical = table.loc[table["background"], list(READ)].mean().dropna().to_dict()
    return prompts.messages(
        name,
        examples(exemplars, component, layer, neuron, TOP_READ),
        examples(exemplars, component, layer, neuron, BOTTOM_READ, "bottom"),
        typical=typical,
    )


def _answers(
    spec: NeuronLabelsSpec,
    exemplars: Result,
    proteins: DescribedProteins,
    component: Component,
    layer: int,
    neurons: np.ndarray,
    context: Context,
) -> list[list[Hypothesis]]:
    if spec.explainer == "endpoint":
        explainer: Any = endpoint.for_run(spec.address, spec.answers_by, spec.key)
    else:
        explainer = chat.Chat(spec.answers_by, device=context.device, seed=spec.seed)
    answers = explainer.explain_many(
        [question(spec, exemplars, component, layer, int(n)) for n in neurons],
        count=spec.candidates,
        temperature=spec.temperature,
        check=context.check,
        progress=lambda done, *_: context.progress(0.9 * done, f"asking about layer {layer}"),
    )
    return [
        [Hypothesis(text, spec.source, traits.named(text, proteins.traits)) for text in texts]
        for texts in answers
    ]


def _predicted(
    spec: NeuronLabelsSpec,
    hypotheses: Sequence[Hypothesis],
    proteins: DescribedProteins,
    context: Context,
) -> Float[np.ndarray, "hypothesis protein"]:
    if spec.simulator == "traits" or not hypotheses:
        return from_traits(hypotheses, proteins.traits, proteins.standard)
    if spec.simulator == "sentences":
        different = list(dict.fromkeys(h.text for h in hypotheses))
        place = {text: i for i, text in enumerate(different)}
        likeness = sentences.embed(different) @ _embedded(tuple(proteins.texts)).T
        return likeness[[place[h.text] for h in hypotheses]]
    simulator = _longformer(spec.longformer, context.device)
    simulated = []
    for number, hypothesis in enumerate(hypotheses):
        context.progress(number / len(hypotheses), "simulating")
        simulated.append(
            longformer.simulate(simulator, hypothesis.text, proteins.held, check=context.check)
        )
    return np.stack(simulated)


@lru_cache(maxsize=1)
def _longformer(folder: str, device: str) -> longformer.Simulator:
    return longformer.load(folder, device=device)


@lru_cache(maxsize=1)
def _embedded(texts: tuple[str, ...]) -> np.ndarray:
    return sentences.embed(list(texts))


def _drawn(spec: NeuronLabelsSpec, layer: int, size: int) -> np.ndarray:
    if spec.per_layer is None or spec.per_layer >= size:
        return np.arange(size)
    return np.sort(spec.draw("neurons", layer).permutation(size)[: spec.per_layer])


def _median(values: pd.Series) -> float:
    return float(values.median()) if values.notna().any() else float("nan")
