"""Labels that there are for a model: of finished runs and of imported files."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.errors import UserError
from neuronlab.labels.label_set import LabelSet
from neuronlab.labels.library import Library
from neuronlab.neurons import Neuron
from neuronlab.proteins.corpora import CORPORA
from neuronlab.studies import STUDIES
from neuronlab.widgets import links, services

STUDY = "neuron_labels"


def current(model: str) -> LabelSet | None:
    """What neurons of a model are called: the labels this session looks at, else the newest."""
    opened = links.shown(STUDY)
    if opened and services.store().has(opened):
        spec = _spec(opened)
        if spec.get("model") == model and _of_today(spec):
            return of_run(opened)
    newest = newest_run(STUDY, model)
    # It may have been deleted since it was found.
    return of_run(newest) if newest and services.store().has(newest) else imported(model)


def of_run(key: str) -> LabelSet:
    """The labels of a finished run."""
    return _of_run(key)


@st.cache_resource(max_entries=8, show_spinner=False)
def _of_run(key: str) -> LabelSet:
    spec, result = services.result(key)
    return LabelSet.of(spec, result.tables["labels"])


def imported(model: str) -> LabelSet | None:
    """The first imported set for a model."""
    library = Library()
    for key, card in library.sets().items():
        if card["model"] == model:
            return _imported(key)
    return None


@st.cache_resource(max_entries=4, show_spinner=False)
def _imported(key: str) -> LabelSet:
    return Library().load(key)


def label(model: str, neuron: Neuron) -> pd.Series | None:
    """The row of a neuron that has a label."""
    labels = current(model)
    return None if labels is None else labels.label_of(neuron)


def words(labels: LabelSet, table: pd.DataFrame) -> list[str]:
    """The labels of the neurons of a table, "" where there is none."""
    neurons = (Neuron(int(r.layer), r.component, int(r.neuron)) for r in table.itertuples())
    rows = map(labels.label_of, neurons)
    return ["" if row is None else str(row["label"]) for row in rows]


def corpus_ready(name: str) -> None:
    """Raises UserError, beside a button, where a corpus has to be fetched first."""
    corpus = CORPORA.get(name)
    if corpus is None or corpus.ready:
        return
    if st.button("Fetch the corpus (1 MB)", key=f"fetch_{name}", icon=":material/download:"):
        corpus.fetch()
        st.rerun()
    raise UserError(f"{corpus.title} are not on this machine yet: fetch them.")


def _spec(key: str) -> dict:
    return services.result(key)[0]


@st.cache_data(ttl=20, show_spinner=False)
def newest_run(study: str, model: str) -> str | None:
    """The key of a model's newest result; None without one.

    Looking at every stored result takes a while: not at every rerun.
    """
    for record in services.store().history():
        mine = record.study == study and record.spec.get("model") == model
        if record.readable and mine and _of_today(record.spec):
            return record.key
    return None


def _of_today(spec: dict[str, Any]) -> bool:
    """Labels that an earlier version of a study made are not those of this one."""
    return spec.get("version") == STUDIES[spec["study"]].spec_type.version
