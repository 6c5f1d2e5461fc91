"""What a chat model says of a neuron of a language model, and how well that foretells it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures.tokens import strip
from neuronlab.labels import endpoint
from neuronlab.labels.context_prompts import SCALE
from neuronlab.neurons import Neuron
from neuronlab.runs import Record, Result
from neuronlab.studies.context_explanation import ContextExplanationSpec
from neuronlab.studies.contexts import ContextsSpec
from neuronlab.widgets import exports, runs, services, state, token_strip
from neuronlab.widgets.guard import counted, guard, plain
from pages.labels import endpoint_fields

# Of the held-out texts, those that drive the neuron most.
_SHOWN = 2


def draw(of: ContextsSpec, neuron: Neuron) -> None:
    """Where a chat model answers, the button that asks it, and what it said.

    Args:
        of: whose places are known.
    """
    with st.expander("What a chat model says", icon=":material/forum:"), guard():
        st.caption(
            "It reads the texts above and says in a sentence what activates the neuron. From that "
            "sentence alone it then foretells the activation at every token of other texts."
        )
        spec = _spec(of, neuron)
        folder = services.store().root
        for record in _explanations(str(folder), folder.stat().st_mtime_ns):
            if _is_of(record, of, neuron) and (spec is None or record.key != spec.key):
                st.markdown(f"**{plain(record.spec['answers_by'])}** was asked before:")
                _results(services.result(record.key)[1], record.key)
        if spec is None:
            return
        result = services.finished(spec.key)
        run = services.queue().get(spec.key)
        if result is None and (run is None or not run.active):
            st.button(
                "Ask it",
                key="explain",
                icon=":material/forum:",
                on_click=_submit,
                args=(spec,),
            )
            st.caption(
                f"{spec.requests} questions: about this neuron, and for comparison about "
                f"{counted(spec.others, 'other neuron')} of the layer."
            )
        if result is None:
            runs.wait(spec.key, "explanation")
            result = services.finished(spec.key)
        if result is not None:
            _results(result, "explained")


@st.cache_data(max_entries=1, show_spinner=False)
def _explanations(folder: str, changed: int) -> list[Record]:
    """All that chat models have said here; read anew where a run was added or removed."""
    study = ContextExplanationSpec.study
    return [r for r in services.store().history() if r.readable and r.study == study]


def _is_of(record: Record, of: ContextsSpec, neuron: Neuron) -> bool:
    """Whether a run is what some chat model said of the neuron's texts."""
    asked = {"component": neuron.component, "layer": neuron.layer, "neuron": neuron.index}
    asked |= of.contexts.model_dump(mode="json", exclude={"components"})
    return all(record.spec.get(name) == value for name, value in asked.items())


def _spec(of: ContextsSpec, neuron: Neuron) -> ContextExplanationSpec | None:
    """What would be asked; None where there is nobody to ask."""
    fields = endpoint_fields.draw((st.container(), *st.columns(2)), "context")
    if not fields["address"].strip() and not fields["answers_by"].strip():
        st.info(
            "No endpoint is set. Give the address of a server that speaks OpenAI's chat protocol, "
            "and the name of a model there; one on this machine needs no key.",
            icon=":material/info:",
        )
        return None
    # This says what is wrong.
    endpoint.Endpoint(fields["address"], fields["answers_by"], fields["key"])
    spec = ContextExplanationSpec(
        **dict(of.contexts),
        component=neuron.component,
        layer=neuron.layer,
        neuron=neuron.index,
        address=fields["address"],
        answers_by=fields["answers_by"],
    )
    if fields["key"]:
        endpoint.keep_key(spec.key, fields["key"])
    return spec


def _submit(spec: ContextExplanationSpec) -> None:
    runs.submit(spec, state.device())


def _results(result: Result, name: str) -> None:
    """What was said and foretold; the name is that of the widgets."""
    explanations, n = result.tables["explanations"], result.numbers
    st.markdown(f"## {plain(explanations['text'].iloc[0])}")
    unread = f" {counted(n['unread'], 'answer')} could not be read." if n["unread"] else ""
    st.caption(
        f"Held-out correlation **{_rounded(n['correlation'])}** with the activation at the tokens "
        f"of {n['texts']} other texts; explanations of other neurons get "
        f"**{_rounded(n['control_correlation'])}**.{unread}"
    )
    tokens = result.tables["tokens"]
    for number in range(_SHOWN):
        rows = tokens[tokens["text"] == number]
        for what in ("activation", "foretold"):
            _strip(rows, what, f"{name}_{number}_{what}")
    exports.tables(explanations, f"explanations_{name}", label="All explanations", corner=False)
    exports.tables(tokens, f"foretold_{name}", label="All tokens", corner=False)


def _strip(rows: pd.DataFrame, what: str, name: str) -> None:
    values = rows[what].to_numpy(float)
    limit = float(SCALE) if what == "foretold" else float(np.abs(values).max(initial=0))
    st.caption(f"{what.capitalize()}:")
    if np.isnan(values).any():
        st.caption("the answer could not be read")
        return
    token_strip.draw(
        strip(rows["token"].tolist(), values.tolist(), what, clickable=False, limit=limit), name
    )


def _rounded(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.2f}"
