"""What this is, one live example, and the pages there are."""

import streamlit as st

from neuronlab.figures.charts import layer_profile, predictions, visible
from neuronlab.models.catalogue import entry
from neuronlab.runs import Result
from neuronlab.studies import AttributionSpec, scores_of
from neuronlab.studies.examples import DEFAULT_MODEL, example
from neuronlab.studies.one_prompt import control_in
from neuronlab.widgets import exports, links, model_fetch, neuron_maps, runs, services, state
from neuronlab.widgets.guard import guard, plain

PAGES = (
    (
        "pages/attribution.py",
        "Which neurons made it say that?",
        "Pick a model and a prompt or protein, see the query, key, value and FFN neurons a "
        "prediction rests on, and switch them off.",
        ":material/neurology:",
    ),
    (
        "pages/value_query.py",
        "Value and query neurons",
        "Which layers, heads and neurons write the answer, which earlier neurons wake those, and "
        "how it flows from one to the other.",
        ":material/account_tree:",
    ),
    (
        "pages/methods.py",
        "Which method finds the neurons?",
        "Ten methods on the same facts: zero what each one names, and see whose choice hurts most.",
        ":material/compare:",
    ),
    (
        "pages/knowledge.py",
        "Where does each kind of knowledge live?",
        "Languages, capitals, colors, months: do they share layers, neurons and heads, and do "
        "these stay when the words change?",
        ":material/category:",
    ),
    (
        "pages/languages.py",
        "One fact, many languages",
        "The neurons that a fact rests on in every language, beside what any two facts share.",
        ":material/translate:",
    ),
    (
        "pages/backup.py",
        "Backup neurons",
        "Pairs of neurons of which either alone is dispensable, but not both; and whether that is "
        "more than two separate effects.",
        ":material/backup:",
    ),
    (
        "pages/classifier.py",
        "Knowledge neurons of a protein classifier",
        "Tune a model to tell enzymes, keep a few of its neurons, and see what is left; colour "
        "the residues that they read.",
        ":material/biotech:",
    ),
    (
        "pages/labels.py",
        "What does each neuron know?",
        "A label for every neuron of a protein model, in words, with how well it predicts the "
        "neuron; search them by words and by meaning.",
        ":material/label:",
    ),
    (
        "pages/steering.py",
        "Steer a protein",
        "Turn neurons up while the model writes a protein: does it move as asked, beyond random "
        "neurons, and does it still fold?",
        ":material/tune:",
    ),
    (
        "pages/runs.py",
        "Runs",
        "Everything computed here: open, compare, export, delete.",
        ":material/history:",
    ),
    (
        "pages/models.py",
        "Models",
        "What can be looked into, on what terms; fetch what is missing.",
        ":material/deployed_code:",
    ),
)


def main() -> None:
    st.title("NeuronLab")
    st.markdown(
        "**Which neurons made the model say that?** Point at a prediction, see which neurons made "
        "it, prove it by switching them off."
    )
    with guard():
        live_example()
    st.subheader("Pages")
    for start in range(0, len(PAGES), 3):
        row = PAGES[start : start + 3]
        for column, (path, title, text, icon) in zip(st.columns(3), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                st.page_link(path, label=f"**{title}**", icon=icon)
                st.markdown(text)


def live_example() -> None:
    """The first example of the default model, computed at set-up or now."""
    name = DEFAULT_MODEL
    if not model_fetch.ready(name):
        return
    spec = example(name)
    if not services.store().has(spec.key):
        runs.submit(spec, state.device())
    runs.wait(spec.key, "home")
    if not services.store().has(spec.key):
        return
    _, result = services.result(spec.key)
    show(spec, result)


def show(spec: AttributionSpec, result: Result) -> None:
    """The example's sentence, its prediction and its neurons."""
    n = result.numbers
    scores = scores_of(result)
    label = visible(n["target_label"])
    words, mean, _ = control_in(n)
    st.subheader("A live example")
    st.markdown(
        f"*{plain(spec.text)}* → **{plain(label)}**, says {plain(model_title(spec.model))} with "
        f"{n['probability']:.0%}. Switch off its {n['suppressed']} top neurons and it is "
        f"**{n['probability_suppressed']:.1%}**; switch off {n['suppressed']} {words}, and it is "
        f"{mean:.0%}."
    )
    left, right = st.columns([2, 3])
    with left:
        table = result.tables["predictions"]
        exports.chart(
            predictions(table, int(n["target"])),
            table,
            "home_predictions",
            "Bars: the ten most probable next tokens.",
        )
    with right:
        exports.chart(
            layer_profile(scores),
            scores.top(50),
            "home_layers",
            "Stacked bars: scores for and against the target per layer and component.",
        )
    st.caption(neuron_maps.both_views(result))
    if st.button("Open this example", icon=":material/neurology:", type="primary"):
        links.leave()
        st.switch_page("pages/attribution.py", query_params={"run": spec.key})


def model_title(name: str) -> str:
    """A model's title from the catalogue."""
    return entry(name).title


main()
