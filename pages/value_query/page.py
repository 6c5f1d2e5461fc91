"""Writing and waking neurons: who writes a prediction, and who wakes the writers."""

from functools import partial

import pandas as pd
import streamlit as st

from neuronlab.attribution.query_neurons import VALUE_NEURONS
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures import value_query as figures
from neuronlab.figures.charts import token_bars, visible
from neuronlab.models import Model
from neuronlab.models.components import Sublayer
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.neurons.effect import percent
from neuronlab.runs import Result
from neuronlab.studies.bases.one_prompt import control_in, proof_in
from neuronlab.studies.value_query import (
    LISTED,
    ValueQuerySpec,
    query_neuron_scores,
    value_scores,
)
from neuronlab.verdicts import confidence, domain
from neuronlab.widgets import (
    badges,
    exports,
    intervention,
    model_fetch,
    neuron_card,
    neuron_maps,
    prompt_form,
    sections,
    services,
    shown,
    state,
    suited,
)
from neuronlab.widgets.guard import plain

KINDS: dict[Sublayer, str] = {
    "attention": "writing attention neurons",
    "ffn": "writing FFN neurons",
}


def main() -> None:
    if not model_fetch.ready(state.model_name()):
        return
    model = services.model(state.model_name(), state.device())
    if not suited.of_one_stream(model):
        return
    asked = prompt_form.ask(model)
    spec = None
    if asked is not None:
        spec = ValueQuerySpec(model=model.name, revision=model.revision, **asked)
    shown.study(
        "value_query", model, spec, partial(results, model), preview=partial(preview, model)
    )


def preview(model: Model, spec: ValueQuerySpec, result: Result) -> None:
    """Layers and heads, while neurons are scored."""
    n, path = result.numbers, result.tables["path"]
    label = plain(visible(n["target_label"]))
    st.markdown(f"**{label}** has {percent(path['probability'].iloc[-1])}; {rise(result)}.")
    if not trusted(model, spec, result):
        return
    where(result)
    heads(model, result)


def results(model: Model, spec: ValueQuerySpec, result: Result) -> None:
    """Everything a finished run shows."""
    scores = value_scores(result)
    neuron_maps.start(scores)
    headline(result)
    if not trusted(model, spec, result):
        return
    where(result)
    heads(model, result)
    left, right = neuron_card.columns()
    with left:
        sections.draw(
            {
                "Writing neurons": partial(value_neurons, result),
                "Waking neurons": partial(query_neurons, model, result),
                "Flow": partial(flow, result),
            }
        )
    with right:
        neuron_card.draw(model, spec.prompt, neuron_maps.chosen(), scores)
    target = int(result.numbers["target"])
    asked = type(spec.prompt)(spec.text, target=target, mask=spec.mask)
    sources = {"Writing": scores} | {
        f"Waking of {kind if kind == 'attention' else 'FFN'}": query_neuron_scores(result, kind)
        for kind in KINDS
    }
    intervention.draw(model, asked, sources, proof_in(result, scores))
    exports.share(spec.key, study_python(spec), study_command(spec))


def trusted(model: Model, spec: ValueQuerySpec, result: Result) -> bool:
    """The badges of a result, and whether its figures may be shown."""
    probability = float(result.tables["path"]["probability"].iloc[-1])
    return badges.draw(domain(model.name, spec.text, model.alphabet), confidence(probability))


def where(result: Result) -> None:
    """What each layer adds, and the target's way along the residual stream."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Where it is written**: log-probability increase of each layer.")
        table = result.tables["layers"]
        exports.chart(
            figures.layer_bars(table, "increase", "increase"),
            table,
            "value_layers",
            "Bars: log-probability increase of each layer's attention and FFN.",
        )
        if table["bias_increase"].any():
            st.caption(f"Biases add {table['bias_increase'].sum():+.3f} in all, not drawn here.")
    with right:
        st.markdown("**The path**: the target after each half of a layer (logit lens).")
        table = result.tables["path"]
        exports.chart(
            figures.path(table),
            table,
            "path",
            "Lines: log-probability and probability of the target along the residual stream.",
        )


def rise(result: Result) -> str:
    """How far the target rises along the stream."""
    path = result.tables["path"]["log_probability"]
    return (
        f"its log-probability rises from {path.iloc[0]:.1f} to {path.iloc[-1]:.2f} along the stream"
    )


def headline(result: Result) -> None:
    """The result in a few lines."""
    n = result.numbers
    label = plain(visible(n["target_label"]))
    words, mean, sd = control_in(n)
    exports.finding(
        "headline",
        "What was found",
        f"**{label}** has {percent(n['probability'])} (rank {n['rank']:,}); {rise(result)}. "
        f"Without its {n['suppressed']} top writing neurons: "
        f"**{percent(n['probability_suppressed'])}**. "
        f"Without as many {words}: {percent(mean)} ± {percent(sd)}.",
    )
    if n.get("note"):
        st.caption(plain(n["note"]))
    st.caption(
        f"{n['rescored']:,} of {n['candidates']:,} were scored exactly "
        f"({result.arrays['ffn'].size:,} FFN neurons, and {result.arrays['attention'].size:,} "
        "attention neurons at every token they read); that proves which "
        f"{LISTED['ffn']} FFN neurons and which {LISTED['attention']} attention neurons, at the "
        "position they read from, are the best."
    )


def heads(model: Model, result: Result) -> None:
    """Layers x heads, and the positions inside the head that was clicked."""
    table = result.tables["heads"]
    best = table.loc[table["increase"].idxmax()]
    layer, head = st.session_state.get("head", (int(best["layer"]), int(best["head"])))
    if layer > table["layer"].max() or head > table["head"].max():
        layer, head = int(best["layer"]), int(best["head"])

    def pick(cell: pd.Series) -> None:
        st.session_state["head"] = int(cell["layer"]), int(cell["head"])

    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.markdown("**Heads**: the increase of each. Click one.")
        grid = figures.head_grid(table, (layer, head))
        neuron_maps.clickable(grid, "heads", 470, "Heatmap of layers by heads.", pick)
    with right:
        positions = result.tables["head_positions"]
        positions = positions[
            (positions["layer"] == layer) & (positions["head"] == head)
        ].reset_index(drop=True)
        tokens = result.numbers["tokens"]
        positions = positions.assign(token=[visible(tokens[i]) for i in positions["position"]])
        st.markdown(f"**Layer {layer}, head {head}**: what it reads from each position.")
        exports.chart(
            token_bars(
                [tokens[i] for i in positions["position"]],
                positions["increase"].tolist(),
                "increase",
            ),
            positions,
            "head_positions",
            f"Bars: log-probability increase of what layer {layer}, head {head} reads from each "
            "position.",
        )
        st.dataframe(
            positions.assign(position=positions["position"] + 1)[
                ["position", "token", "attention", "increase"]
            ],
            hide_index=True,
            height=170,
            column_config={
                "attention": st.column_config.ProgressColumn(format="%.3f", max_value=1.0),
                "increase": st.column_config.NumberColumn(format="%+.4f"),
            },
        )
        neurons = NeuronSet.of_heads([(layer, head)], model.head_size)
        neuron_maps.add_button(f"Add this head: {len(neurons)} neurons", neurons, "add_head")
        if not positions["exact"].all():
            st.caption("Upper bounds: this head is not among those scored position by position.")


def value_neurons(result: Result) -> None:
    """The best of each kind with their tokens; in which layers they are."""
    kind = st.segmented_control(
        "Kind",
        ["ffn", "attention"],
        default="ffn",
        format_func={"ffn": "FFN", "attention": "Attention, at the position read from"}.__getitem__,
        key="value_kind",
        persist_state="page",
        label_visibility="collapsed",
        required=True,
    )
    table = result.tables["neurons"]
    table = table[table["component"] == kind].head(100).reset_index(drop=True)
    if kind == "ffn":
        table = table.drop(columns=["head", "position"])
    else:
        tokens = result.numbers["tokens"]
        table = table.assign(position=[f"{i + 1} {visible(tokens[i])}" for i in table["position"]])
    # What a neuron's vector promotes, it lowers where its coefficient is negative.
    up, down, positive = table["promotes"], table["suppresses"], table["coefficient"] > 0
    raises, lowers = up.where(positive, down), down.where(positive, up)
    table = table.assign(raises=raises.map(first_words), lowers=lowers.map(first_words))
    ways = ("raises", "lowers") if kind == "ffn" else ("raises",)
    neuron_maps.listed(
        table,
        f"value_{kind}",
        f"The best writing {kind} neurons.",
        order=[*(c for c in ("layer", "head", "neuron", "position", "score") if c in table), *ways],
        widths={"head": 56, "position": 90} | dict.fromkeys(ways, 140),
    )
    st.caption(
        "Raises and lowers: the tokens that the neuron, as active as it is here, speaks for and "
        "against most. Its card and the files have more."
    )
    counts = result.tables["histogram"]
    st.markdown("**In which layers** the best hundred FFN neurons are, by either measure.")
    exports.chart(
        figures.histogram(counts),
        counts,
        "histogram",
        "Bars per layer: the best hundred FFN neurons by log-probability and by probability.",
    )


def first_words(words: str, letters: int = 20) -> str:
    """As many whole words as fit, at least one; words stand two blanks apart, as in results."""
    first, *others = words.split("  ")
    for word in others:
        if len(first) + 2 + len(word) > letters:
            break
        first += f"  {word}"
    return first


def query_neurons(model: Model, result: Result) -> None:
    """Waking layers and neurons, and which neurons are writing neurons too."""
    of = st.segmented_control(
        "Who wakes the",
        list(KINDS),
        default="attention",
        format_func=KINDS.__getitem__,
        key="query_of",
        persist_state="page",
        required=True,
    )
    for key, count in result.numbers["query_used"][of].items():
        if count < VALUE_NEURONS:
            st.caption(
                f"{VALUE_NEURONS - count} of the {VALUE_NEURONS} best {KINDS[of]} are left out: "
                f"what their {key} reads nearly cancels."
            )
    query_layers(result, of)
    st.markdown(f"**Only waking, only writing, or both**: the best {LISTED['ffn']} of each.")
    table = result.tables["roles"]
    table = table[table["of"] == of].drop(columns="of").reset_index(drop=True)
    exports.chart(
        figures.roles(table, model.layers),
        table,
        "roles",
        "Stacked bars per layer: FFN neurons that are waking neurons, writing neurons or both.",
    )
    counts = table["role"].value_counts()
    by_role = (f"{counts.get(role, 0)} {words}" for role, words in figures.ROLES.items())
    st.caption(f"{', '.join(by_role)}.")
    query_list(result, of, table)


def query_layers(result: Result, of: str) -> None:
    """The share of each layer in waking the writing neurons of a kind."""
    table = result.tables["query_layers"]
    table = table[table["of"] == of].drop(columns="of")
    st.markdown("**Waking layers**: the share of each layer's attention and FFN.")
    exports.chart(
        figures.layer_bars(table, "score", "waking score"),
        table,
        "query_layers",
        "Bars: waking score of each layer's attention and FFN.",
    )
    rest = result.numbers["query_start"][of], result.numbers["query_biases"][of]
    st.caption(f"The embedding has {rest[0]:+.3f}, biases {rest[1]:+.3f}.")


def query_list(result: Result, of: str, roles: pd.DataFrame) -> None:
    """The waking neurons of writing neurons of a kind, or those of a role.

    Args:
        roles: of the neurons of this kind.
    """
    role = st.segmented_control(
        "List",
        ["query", *figures.ROLES],
        default="query",
        format_func=lambda role: figures.ROLES.get(role, "all waking neurons"),
        key="query_list",
        wrap=True,
        persist_state="page",
        label_visibility="collapsed",
        required=True,
    )
    if role == "query":
        rows = result.tables["query_neurons"]
        rows = rows[rows["of"] == of].drop(columns="of").dropna(axis=1, how="all")
    else:
        rows = roles[roles["role"] == role].assign(component="ffn")
        by = "value_score" if role == "value only" else "query_score"
        rows = rows.sort_values(by, ascending=False).assign(score=rows[by])
        scores = {"query_score": "waking_score", "value_score": "writing_score"}
        rows = rows[["layer", "component", "neuron", "score", *scores]].rename(columns=scores)
    neuron_maps.listed(
        rows.reset_index(drop=True),
        f"query_{role.replace(' ', '_')}",
        "FFN neurons that wake the writing neurons.",
        height=260,
    )


def flow(result: Result) -> None:
    """The strongest neurons of each stage; a click opens the card."""
    st.markdown(
        "Waking FFN → writing attention → writing FFN → target: the eight strongest writing "
        "neurons of either kind, and the eight neurons that wake these attention neurons most (the "
        "list above is over all writing neurons). Lines are shares of the increase, dashed where "
        "they speak against. Click a neuron for its card."
    )
    nodes, links = result.tables["flow_nodes"], result.tables["flow_links"]
    grid = figures.flow(nodes, links, result.numbers["target_label"])

    def pick(cell: pd.Series) -> None:
        if cell["stage"] != "target":
            neuron_maps.choose(Neuron(int(cell["layer"]), cell["component"], int(cell["neuron"])))

    neuron_maps.clickable(
        grid, "flow", 560, "Graph from waking neurons to writing neurons to the target.", pick
    )
    exports.tables(links, "flow_links", label="Table and files of the lines")


main()
