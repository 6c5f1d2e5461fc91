"""What this is, one live example, and the pages there are."""

import streamlit as st

from neuronlab.examples import DEFAULT_MODEL, example
from neuronlab.figures.charts import layer_profile, predictions, visible
from neuronlab.models.catalogue import title_of
from neuronlab.runs import Result
from neuronlab.studies.attribution import AttributionSpec, scores_of
from neuronlab.studies.bases.one_prompt import control_in
from neuronlab.widgets import (
    exports,
    links,
    model_fetch,
    neuron_maps,
    runs,
    services,
    state,
)
from neuronlab.widgets.guard import guard, plain
from pages import HOME, PAGE_OF, PAGES


def main() -> None:
    st.title("NeuronLab")
    st.markdown(
        "**Which neurons made the model say that?** Point at a prediction, see which neurons made "
        "it, prove it by switching them off."
    )
    with guard():
        live_example()
    st.subheader("Pages")
    cards = [page for page in PAGES if page is not HOME]
    for start in range(0, len(cards), 3):
        row = cards[start : start + 3]
        for column, page in zip(st.columns(3), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                st.page_link(page.path, label=f"**{page.title}**", icon=page.symbol)
                st.markdown(page.card)


def live_example() -> None:
    """The first example of the default model, computed at set-up or now."""
    name = DEFAULT_MODEL
    if not model_fetch.ready(name):
        return
    spec = example(name)
    runs.open_on(spec, state.device())
    runs.wait(spec.key, "home")
    if not services.store().has(spec.key):
        return
    _, result = services.result(spec.key)
    show(spec, result)


def show(spec: AttributionSpec, result: Result) -> None:
    """The example's sentence, its prediction and its neurons."""
    n = result.numbers
    scores = scores_of(result)
    label, model = visible(n["target_label"]), title_of(spec.model)
    words, mean, _ = control_in(n)
    st.subheader("A live example")
    st.markdown(
        f"*{plain(spec.text)}* → **{plain(label)}**, says {plain(model)} with "
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
        st.switch_page(PAGE_OF[spec.study].path, query_params={"run": spec.key})


main()
