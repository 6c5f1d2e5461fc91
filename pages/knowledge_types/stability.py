"""Whether the neurons stay the same when words, facts or the model change."""

import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.knowledge_types import overlap_bars
from neuronlab.models import Model
from neuronlab.models.catalogue import CATALOGUE
from neuronlab.runs import Result
from neuronlab.studies.stability import PAIRS, StabilitySpec
from neuronlab.widgets import exports, model_fetch, services, state
from neuronlab.widgets.guard import plain


def other_model(model: Model) -> Model | None:
    """A second model that the same prompts are asked of."""
    names = [
        c.name
        for c in CATALOGUE
        if c.kind in ("causal", "masked") and c.alphabet == "text" and c.name != model.name
    ]
    chosen = st.selectbox(
        "Compare with",
        names,
        index=None,
        placeholder="no other model",
        key=f"other_{model.name}",
        accept_new_options=True,
        help="A model of the same family, for example a tuned version: a name of the list, a hub "
        "id or a folder.",
    )
    if not chosen or not model_fetch.ready(chosen):
        return None
    other = services.model(chosen, state.device())
    if other.kind == "classifier" or other.alphabet != "text":
        st.info(f"{plain(other.title)} does not continue text: it is left out.")
        return None
    return other


def stability(spec: StabilitySpec, result: Result) -> None:
    """Overlap between wordings, facts and models."""
    n = result.numbers
    table = result.tables["overlap"]
    facts = f"{n['facts']} fact{'s' * (n['facts'] != 1)}"
    st.markdown(f"**{facts} in {n['prompts']} wordings**. {plain(n['left_out'])}")
    if spec.other and not n["comparable"]:
        st.info(
            "The two models have different shapes, so their neurons cannot be compared one by "
            f"one. How the best hundred spread over the depth: r = {n['profile_correlation']:.2f}.",
            icon=":material/info:",
        )
    exports.chart(
        overlap_bars(table, PAIRS),
        table,
        "stability",
        "Bars: overlap of the best FFN neurons of two prompts, by what the prompts share.",
    )
    words = [
        f"{PAIRS[row.pair]}: {row.jaccard:.2f}"
        + (
            f" ({row.jaccard_low:.2f} to {row.jaccard_high:.2f})"
            if row.jaccard_low <= row.jaccard_high
            else " (too few facts for an interval)"
        )
        for row in table[table["k"] == table["k"].min()].itertuples()
    ]
    st.caption(
        f"Jaccard index of the best {table['k'].min()} of two prompts, with 95 % intervals over "
        f"facts: {'; '.join(words)}."
    )
    with st.expander("The prompts"):
        exports.listed(result.tables["facts"], height=260)
    exports.share(spec.key, study_python(spec), study_command(spec))
