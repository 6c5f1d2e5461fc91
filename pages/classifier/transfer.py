"""The view that asks whether the neurons of one task carry another."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab import examples
from neuronlab.attribution.streamed import SCORED
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.classifier import METRICS
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import Model
from neuronlab.models.catalogue import available, title_of
from neuronlab.runs import Result
from neuronlab.statistics import FEWEST
from neuronlab.studies.neuron_transfer import FULL, OTHER, OWN, RANDOM, NeuronTransferSpec, lines
from neuronlab.widgets import exports, model_fetch, services, shown, state
from neuronlab.widgets.guard import complain, enumerated, plain
from pages.classifier.differences import SAME, comparison, verdict_on
from pages.classifier.ranking import METHODS

STUDY = "neuron_transfer"
# What tells rows apart, in words.
_PLACES = {"model": "model judged", "neurons": "neurons kept", "fraction": "share kept"}
_OVERLAP = {
    "fraction": "share kept",
    "component": "kind of neuron",
    "shared": "both keep (neurons)",
    "expected": "by chance (neurons)",
    "jaccard": "Jaccard index",
    "spearman": "rank correlation",
}
_VERDICTS = {"more": "above {}", "less": "below {}", SAME: "not told apart from {}"}
_AGAINST = {
    "random": "against random, same counts",
    OWN: "against its own",
    FULL: "against all",
}


def draw() -> None:
    """Form, run and results."""
    model = services.model(state.model_name(), state.device())
    spec = form(model)
    first = examples.first(STUDY, model)
    if first is None and spec is not None:
        small = {"scored": 6, "tested": 20, "fractions": (0.5, 0.1, 0.01), "seeds": 2}
        first = spec.model_copy(update=small | {"method": "gradient_x_activation"})
    shown.study(STUDY, model, spec, results, first=first, preview=preview)


def form(model: Model) -> NeuronTransferSpec | None:
    """The other model, and how neurons are chosen."""
    left, middle, right = st.columns([2, 1, 1])
    others = {
        e.name: e
        for e in available()
        if e.kind == "classifier" and e.alphabet == "protein" and e.name != model.name
    }
    if not others:
        complain("There is no second protein classifier: tune one in the view “Tune a model”.")
        return None
    other = left.selectbox(
        "The other model",
        list(others),
        format_func=title_of,
        key=f"transfer_other_{model.name}",
        help="A classifier with a trunk of the same shape.",
    )
    method = middle.selectbox(
        "Chosen by",
        SCORED,
        SCORED.index("gradient_x_activation"),
        METHODS.__getitem__,
        key="transfer_method",
    )
    scored = right.number_input("Proteins that score", 2, 5000, 60, key="transfer_scored")
    if not model_fetch.ready(other):
        return None
    return NeuronTransferSpec.like_tuned(
        model.name,
        model.revision,
        other=other,
        other_revision=others[other].revision,
        method=method,
        scored=scored,
    )


def preview(spec: NeuronTransferSpec, result: Result) -> None:
    """What there is before both models are judged."""
    if "transfer" in result.tables:
        results(spec, result)
    else:
        shared(result.tables["overlap"])


def results(spec: NeuronTransferSpec, result: Result) -> None:
    """The models that are judged, with their own, the other's and random neurons."""
    metric = st.segmented_control(
        "Measure",
        list(METRICS),
        default="auc",
        format_func=METRICS.__getitem__,
        key="transfer_metric",
        required=True,
        label_visibility="collapsed",
    )
    compared = result.tables["compared"]
    compared = compared[compared["metric"] == metric]
    exports.finding("headline", "What was found", carried_over(spec, compared, metric))
    judges = {spec.model: "its labels", spec.other: "what it says with all neurons"}
    for column, (name, judge) in zip(st.columns(2, gap="medium"), judges.items(), strict=True):
        if name not in result.numbers["full"]:
            continue
        with column:
            st.markdown(f"**{plain(title_of(name))}**, judged by {judge}.")
            # Results of before say nothing of it.
            fewest = result.numbers.get("fewest", {}).get(name, FEWEST)
            if fewest < FEWEST:
                st.warning(
                    f"Only {fewest} of the {result.numbers['tested']} proteins are of the rarer "
                    "class: AUC and F1 rest on these and say nothing.",
                    icon=":material/warning:",
                )
            one_model(spec, result, name, metric)
    differences = compared.replace({"against": dict.fromkeys(RANDOM.values(), "random")})
    differences = differences.assign(model=differences["model"].map(title_of))
    st.markdown(f"**By how much {METRICS[metric]} is above that of others**")
    st.dataframe(
        comparison(differences, _PLACES, _AGAINST),
        hide_index=True,
        column_config={_PLACES["fraction"]: st.column_config.NumberColumn(format="percent")},
    )
    exports.tables(result.tables["compared"], "transfer_compared")
    shared(result.tables["overlap"])
    st.caption(
        f"Scored on {result.numbers['scored']} proteins, judged on {result.numbers['tested']}. "
        "By chance: of random sets with as many neurons in each layer. The Jaccard index is 1 "
        "where both keep the same; the rank correlation, from -1 to 1, is of all scores. "
        "Differences are on the same proteins, with 95 % intervals; random neurons are drawn "
        f"{spec.seeds} times."
    )
    exports.share(spec.key, study_python(spec), study_command(spec))


def carried_over(spec: NeuronTransferSpec, compared: pd.DataFrame, metric: str) -> str:
    """What the other task's neurons do for the model that the labels are of, in words.

    Args:
        compared: differences of one metric.
    """
    rows = compared[(compared["model"] == spec.model) & (compared["neurons"] == OTHER)]
    words = []
    for what, against in (("random ones like them", [*RANDOM.values()]), ("its own", [OWN])):
        shares: dict[str, list[str]] = {}
        for row in rows[rows["against"].isin(against)].sort_values("fraction").itertuples():
            shares.setdefault(verdict_on(row), []).append(f"{row.fraction:.0%}")
        words += [
            f"{_VERDICTS[verdict].format(what)} with {enumerated(kept)} kept"
            for verdict, kept in shares.items()
        ]
    return (
        f"{METRICS[metric]} of {plain(title_of(spec.model))} with the neurons that "
        f"{plain(title_of(spec.other))} needs: **{'; '.join(words)}**."
    )


def one_model(spec: NeuronTransferSpec, result: Result, name: str, metric: str) -> None:
    """What a model does with its own, the other's and random neurons."""
    rows = result.tables["transfer"]
    rows = rows[rows["model"] == name]
    exports.chart(
        lines(result, name, metric),
        rows,
        f"transfer_{'target' if name == spec.model else 'source'}",
        "Lines: the measure against the share kept, own, transferred and random neurons.",
    )


def shared(overlap: pd.DataFrame) -> None:
    """How far the neurons of the two tasks are the same."""
    st.markdown("**Do the two tasks use the same neurons?**")
    formats = {"fraction": "percent", "expected": "%.1f", "jaccard": "%.2f", "spearman": "%.2f"}
    st.dataframe(
        overlap.replace(COMPONENT_NAMES)[list(_OVERLAP)].rename(columns=_OVERLAP),
        hide_index=True,
        placeholder=exports.NOTHING,
        column_config={
            _OVERLAP[c]: st.column_config.NumberColumn(format=f) for c, f in formats.items()
        },
    )
    exports.tables(overlap, "overlap")
