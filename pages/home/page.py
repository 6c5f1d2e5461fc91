"""What this is in ten seconds: a sentence, its prediction, and a switch for ten of its neurons."""

from dataclasses import replace

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab import examples
from neuronlab.examples import DEFAULT_MODEL
from neuronlab.figures import tokens
from neuronlab.figures.charts import visible
from neuronlab.models import weights
from neuronlab.models.catalogue import title_of
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, percent
from neuronlab.runs import Result
from neuronlab.studies.attribution import AttributionSpec, scores_of
from neuronlab.studies.bases.one_prompt import SUPPRESSED, control_in
from neuronlab.widgets import (
    bystanders,
    model_fetch,
    runs,
    services,
    state,
    token_strip,
)
from neuronlab.widgets.bars import Bar, draw
from neuronlab.widgets.guard import guard, plain
from pages import LEARN, PAGES
from pages.home import doors

# Of the first choices, and of those that come up without the neurons.
_CHOICES, _RISEN = 5, 2


def main() -> None:
    st.title("Which neurons made the model say that?")
    st.markdown(
        "Point at a prediction, see the neurons it rests on, and prove it by switching them off."
    )
    spec = examples.example(DEFAULT_MODEL)
    result = shown = None
    with guard():
        result = live_example(spec)
        if result is not None:
            shown = show(spec, result)
    with st.container(border=True):
        about, picture = st.columns(2, gap="large", vertical_alignment="center")
        about.page_link(LEARN.path, label=f"**{LEARN.title}**: {LEARN.card}", icon=LEARN.symbol)
        with picture, guard():
            if result is not None:
                doors.guessed(result)
    language, protein = st.columns(2, gap="large")
    with language:
        st.header("Language", anchor=False)
        with guard():
            if result is not None:
                doors.layers(spec, result)
        doors.cards(page for page in PAGES if page.alphabet in ("", "text"))
    with protein:
        st.header("Proteins", anchor=False)
        with guard():
            doors.steered()
        doors.cards(page for page in PAGES if page.alphabet == "protein")
    with st.container(horizontal=True):
        for page in (page for page in PAGES if page.section and page is not LEARN):
            st.page_link(page.path, label=f"**{page.title}**: {page.card}", icon=page.symbol)
    # Of a fresh server it takes seconds to load the model that is asked: all else comes first.
    if result is not None and shown is not None and weights.installed(spec.model):
        others, off = shown
        with others, guard():
            asked(spec, result, off)


def live_example(spec: AttributionSpec) -> Result | None:
    """The first example of the default model: stored, computed at set-up, or computed now."""
    result = services.finished(spec.key)
    if result is None and model_fetch.ready(spec.model):
        runs.open_on(spec, state.device())
        runs.wait(spec.key, "home")
        result = services.finished(spec.key)
    return result


def show(spec: AttributionSpec, result: Result) -> tuple[DeltaGenerator, bool]:
    """The sentence, its prediction, and what switching ten neurons off does to it and others.

    Returns:
        The place for other prompts' answers, and whether the neurons are off.
    """
    n = result.numbers
    label = n["target_label"]
    if "one_pass" in result.tables:
        table = result.tables["one_pass"]
        values = table.drop(columns=["token", "text"]).sum(axis=1).tolist()
        texts = table["text"].tolist()
    else:  # of an earlier version
        texts, values = [spec.text], None
    answer = label.strip()
    data = tokens.strip(
        texts,
        values,
        "score",
        clickable=False,
        large=True,
        predicted=label,
        legend=(f"against {answer}", f"for {answer}"),
    )
    token_strip.draw(data, "home")
    left, right = st.columns(2, gap="large")
    with left:
        off = st.toggle(
            f"Switch off {n['suppressed']} of {neurons_in(result):,} neurons", key="home_off"
        )
        words = "without them" if off else "as it is"
        st.markdown(f"**What {plain(title_of(spec.model))} says next**, {words}")
        draw(choices(result.tables["suppressed"], int(n["target"]), off), "choices", "Next tokens.")
    with right:
        others = beside(result, off)
    doors.open_button("Open this example", spec, type="primary")
    return others, off


def neurons_in(result: Result) -> int:
    """How many neurons were scored."""
    return sum(values.size for values in result.arrays.values())


def choices(table: pd.DataFrame, target: int, off: bool) -> list[Bar]:
    """The same rows as they are and without the neurons, so that bars move."""
    first = table.nlargest(_CHOICES, "before")
    risen = table[~table["index"].isin(first["index"])].nlargest(_RISEN, "after")
    return [
        Bar(_named(row.token), float(row.after if off else row.before), row.index_ == target)
        for row in pd.concat([first, risen]).rename(columns={"index": "index_"}).itertuples()
    ]


def _named(token: str) -> str:
    """A token; the sign of a blank alone is not understood here."""
    return visible(token) if token.strip(" ") else f"{visible(token)} (blank)"


def beside(result: Result, off: bool) -> DeltaGenerator:
    """Random neurons, and a place for bystanders: they say whether it is this answer that goes."""
    n = result.numbers
    words, mean, _ = control_in(n)
    answer = n["target_label"].strip()
    st.markdown("**The same switch** for random neurons, and for other answers")
    before = float(n["probability"])
    which = "random ones, as active" if words == CONTROLS[AS_ACTIVE] else "random ones"
    random = Bar(f"{answer}, {n['suppressed']} {which}", mean if off else before)
    draw([random], "random", f"Probability of the answer without {words}.")
    others = st.container()
    st.caption(
        f"Without its {n['suppressed']} top neurons {plain(answer)} falls from {percent(before)} "
        f"to {percent(n['probability_suppressed'])}; without {n['suppressed']} {words}, it has "
        f"{percent(mean)}. "
        "What else the neurons carry shows in other answers."
    )
    return others


def asked(spec: AttributionSpec, result: Result, off: bool) -> None:
    """Another fact of the relation and a plain sentence, asked as it is and without the neurons."""
    model = services.model(spec.model, state.device())
    prompt = replace(spec.prompt, target=int(result.numbers["target"]))
    neurons = scores_of(result).select(top=SUPPRESSED)
    measured = bystanders.suppressed(model, prompt, neurons, two=True)
    if measured is None:
        return
    bars = [
        Bar(f"{row.title} …{row.answer.strip()}", float(row.after if off else row.before))
        for row in measured.bystanders.rename(columns={"name": "title"}).itertuples()
    ]
    draw(bars, "bystanders", "Probability of the first choices of two other prompts.")


main()
