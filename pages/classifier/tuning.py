"""The view that tunes a protein model: data, baselines, settings, how it went."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.errors import UserError
from neuronlab.figures.classifier import METRICS, length_histogram, metric_bars, tuning_curve
from neuronlab.models import tuned
from neuronlab.models.catalogue import available, revision_of, title_of
from neuronlab.models.families import FAMILIES
from neuronlab.models.residues import AMINO_ACIDS, doubt
from neuronlab.proteins.baselines import baselines, judge
from neuronlab.proteins.labelled import LABELLED, MAX_BYTES, Uploaded, read_labelled
from neuronlab.runs import Result
from neuronlab.studies.bases.on_proteins import OWN, PROTEIN_FIELDS, ProteinsSpec
from neuronlab.studies.fine_tune import (
    FineTuneSpec,
    default_spec,
    head_spec,
    last_layer_spec,
    with_intervals,
)
from neuronlab.widgets import (
    exports,
    links,
    model_fetch,
    protein_models,
    sections,
    services,
    shown,
    state,
)
from neuronlab.widgets.guard import complain, guard, plain, sentence
from pages.classifier.differences import SAME, comparison, verdict

STUDY = "fine_tune"
LAST_LAYER = "last layer and head"
TUNED = {LAST_LAYER: last_layer_spec, "head alone": head_spec, "everything": default_spec}
_EXAMPLE = "name,sequence,label\nfirst,MKTAYIAKQR,binder\nsecond,GSHMLEDPVD,other\n"
# Of ESM-2; the letters for unknown and ambiguous residues are in its vocabulary too.
_LETTERS = AMINO_ACIDS + "XBUZO"


def draw() -> None:
    """Everything of the view."""
    spec = form()
    if spec is not None:
        with guard():
            overview(spec)
    base = None if spec is None else spec.model
    if base is not None and not model_fetch.ready(base):
        return
    shown.run_button(spec)
    first = last_layer_spec()
    finished = None
    # The first result is made with one click, not unasked: it takes minutes.
    if services.store().has(first.key) or links.shown(STUDY):
        finished = shown.finished(STUDY, None, spec, first)
    if finished is not None:
        with guard():
            results(*finished)


def form() -> FineTuneSpec | None:
    """Trunk, proteins and settings."""
    left, right = st.columns(2)
    tunable = {family.name for family in FAMILIES if family.tunable}
    trunks = [e.name for e in available() if e.family in tunable]
    base = left.selectbox(
        "Begin with the trunk of",
        trunks,
        format_func=title_of,
        key="tune_base",
        accept_new_options=True,
        help="An ESM-2 model: of the list, a hub id or a folder.",
        persist_state="session",
    )
    data = right.selectbox(
        "Proteins",
        [*LABELLED, OWN],
        format_func=lambda n: "A file of yours" if n == OWN else LABELLED[n].title,
        key="tune_data",
        persist_state="session",
    )
    if not base:
        return None
    fields: dict = {"data": data}
    if data == OWN:
        upload = uploaded()
        if upload is None:
            return None
        fields |= {"own": tuple(upload.proteins), "labels": upload.labels}
    else:
        st.caption(plain(f"{LABELLED[data].what} {LABELLED[data].terms}"))
    what = st.segmented_control(
        "What is tuned",
        list(TUNED),
        default=LAST_LAYER,
        key="tune_what",
        required=True,
        help="The paper tunes everything. What the frozen layers make of the proteins is computed "
        "once, so that the other two take a fraction of the time.",
    )
    with st.expander("Settings"):
        fields |= _settings(what, uploads=data == OWN)
    try:
        return FineTuneSpec(model=base, revision=revision_of(base), **fields)
    except ValueError as error:
        complain(sentence(error))
        return None


def _settings(what: str, *, uploads: bool) -> dict:
    """How it is tuned, on how many proteins, and what the model will be called."""
    start = TUNED[what]()
    one, two, three = st.columns(3)
    fields = {
        "epochs": one.number_input(
            "Epochs, at most", 1, 50, start.epochs, key=f"tune_epochs_{what}"
        ),
        "rate": two.number_input(
            "Learning rate", 1e-6, 0.1, start.rate, format="%.1e", key=f"tune_rate_{what}"
        ),
        "batch": three.number_input("Proteins a step", 1, 256, start.batch, key="tune_batch"),
        "frozen": one.number_input(
            "Layers that stay as they are",
            -99,
            99,
            start.frozen,
            key=f"tune_frozen_{what}",
            help="Counted from the first; -1 are all but the last, 99 are all.",
        ),
        "patience": two.number_input(
            "Looks without a better AUC", 1, 50, start.patience, key=f"tune_patience_{what}"
        ),
        "seed": three.number_input("Seed", 0, 10_000, start.seed, key="tune_seed"),
    }
    count = one.number_input("At most so many proteins (0: all)", 0, 100_000, 0, key="tune_limit")
    title = two.text_input(
        "Name",
        "My classifier" if uploads else start.title,
        max_chars=60,
        key=f"tune_title_{uploads}",
    )
    return fields | {"limit": max(count, 6) if count else None, "title": title or start.title}


def uploaded() -> Uploaded | None:
    """The labelled proteins of a file; None with a message where there are none yet."""
    file = st.file_uploader(
        "FASTA with label=… in every header, or a table with the columns sequence and label",
        type=["fasta", "fa", "faa", "csv", "tsv", "txt"],
        max_upload_size=MAX_BYTES // 1_000_000,
        key="tune_file",
    )
    if file is None:
        st.download_button(
            "A table to start from (CSV)",
            _EXAMPLE,
            "proteins.csv",
            "text/csv",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
        return None
    try:
        upload, doubts = _read(file.file_id, file.name, file)
    except UserError as error:
        complain(str(error))
        return None
    classes = ", ".join(upload.labels)
    st.caption(
        plain(f"{len(upload.proteins):,} proteins; classes: {classes}. {upload.note}".rstrip())
    )
    if doubts:
        st.warning(doubts, icon=":material/help:")
    return upload


@st.cache_data(max_entries=4, show_spinner="Reading")
def _read(file_id: str, name: str, _file: BytesIO) -> tuple[Uploaded, str]:
    """What the file holds, and whether some of it is hardly protein."""
    upload = read_labelled(name, _file.getvalue(), _LETTERS)
    return upload, doubt([p.sequence for p in upload.proteins])


def overview(spec: ProteinsSpec) -> None:
    """The proteins, and what can be told of them without a protein model."""
    key = spec.model_dump_json(include=set(PROTEIN_FIELDS))
    try:
        lengths, table, sizes, duplicates = _data(key, spec)
    except UserError as error:
        complain(str(error))
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**How long they are**, by class.")
        rows = pd.DataFrame(
            [(label, n) for label, counts in lengths.items() for n in counts],
            columns=["class", "residues"],
        )
        exports.chart(
            length_histogram(lengths), rows, "lengths", "Histogram of lengths for each class."
        )
    with right:
        st.markdown("**What needs no protein model**: AUC on the test part.")
        exports.chart(
            metric_bars(table, "auc"), table, "data_baselines", "Bars: AUC of simple baselines."
        )
    parts = ", ".join(f"{count:,} for {part}" for part, count in sizes.items())
    st.caption(
        f"{sum(sizes.values()):,} proteins: {parts}; {duplicates:,} share their sequence with "
        "another and stay on its side."
    )


@st.cache_data(max_entries=8, show_spinner="Looking at the proteins")
def _data(key: str, _spec: ProteinsSpec) -> tuple[dict, pd.DataFrame, dict, int]:
    proteins, sides = _spec.parts()
    lengths = {
        label: [len(p.sequence) for p in proteins if p.label == i]
        for i, label in enumerate(_spec.classes)
    }
    train, test = ([proteins[i] for i in side] for side in (sides.train, sides.test))
    labels = np.array([p.label for p in test])
    rows = [
        _row(name, with_intervals(judge(labels, p)), True)
        for name, p in baselines(train, test).items()
    ]
    sizes = {"training": len(sides.train), "validation": len(sides.validation), "test": len(test)}
    return lengths, pd.DataFrame(rows), sizes, sides.duplicates


def _row(name: str, measured: dict, baseline: bool) -> dict:
    row = {"name": name, "baseline": baseline} | {m: measured[m] for m in METRICS}
    for metric, (low, high) in measured["intervals"].items():
        row |= {f"{metric}_low": low, f"{metric}_high": high}
    return row


def results(spec: FineTuneSpec, result: Result) -> None:
    """What was reached, beside the baselines, and how tuning went."""
    n = result.numbers
    rows = [_row("tuned model", n["test"], False)]
    rows += [_row(name, measured, True) for name, measured in n["baselines"].items()]
    table = pd.DataFrame(rows)
    low, high = n["test"]["intervals"]["auc"]
    st.header("What was reached")
    exports.finding(
        "headline",
        "What was found",
        f"**AUC {n['test']['auc']:.3f}** ({low:.3f} to {high:.3f}) on {n['sizes']['test']} test "
        f"proteins, accuracy {n['test']['accuracy']:.1%}, F1 {n['test']['f1']:.3f}. "
        f"{beside(n, result.tables['compared'])} Tuning ended: {plain(n['stopped'])}.",
    )
    left, right = st.columns(2, gap="medium")
    with left:
        metric = st.segmented_control(
            "Measure",
            list(METRICS),
            default="auc",
            format_func=METRICS.__getitem__,
            key="tuned_metric",
            required=True,
            label_visibility="collapsed",
        )
        exports.chart(
            metric_bars(table, metric), table, "tuned", "Bars: the tuned model beside baselines."
        )
    with right:
        st.markdown("**How tuning went**")
        exports.chart(
            tuning_curve(result.tables["curve"]),
            result.tables["curve"],
            "tuning",
            "Lines: loss and validation AUC over the steps.",
        )
    compared = result.tables["compared"]
    compared = compared[compared["metric"] == metric].assign(against="model")
    st.dataframe(
        comparison(compared, {"baseline": "baseline"}, {"model": "tuned model less baseline"}),
        hide_index=True,
    )
    exports.tables(compared, "tuned_compared")
    what_next(spec, n["model"])
    exports.share(spec.key, study_python(spec), study_command(spec))


def what_next(spec: FineTuneSpec, name: str) -> None:
    """A button to the tuned model's neurons, or to make it again where it was deleted."""
    if tuned.card(name) is None:
        st.caption(f"The model {name} has been deleted from this machine.")
        again = st.button("Make it again", key="tune_again", icon=":material/replay:")
        if again:
            services.store().delete(spec.key)
            services.result.clear()
            st.rerun()
    elif state.model_name() != name:
        st.button(
            f"Look at the neurons of {name}",
            key="use_tuned",
            type="primary",
            on_click=look_at,
            args=(name,),
        )


def beside(n: dict, compared: pd.DataFrame) -> str:
    """How the model compares with the simple baseline that the validation part chose."""
    name = n["baseline"]
    (row,) = compared[(compared["baseline"] == name) & (compared["metric"] == "auc")].itertuples()
    words = {"more": "more than", "less": "less than", SAME: "not told apart from"}
    return (
        f"That is {words[verdict(row.low, row.high)]} the best baseline without a protein model "
        f"({plain(name)}, chosen on the validation part: {n['baselines'][name]['auc']:.3f}): "
        f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f}) on the same proteins."
    )


def look_at(name: str) -> None:
    """Choose a classifier in the sidebar, and look at its neurons."""
    st.session_state["model"] = name
    sections.turn_to("submodels")


def choose() -> bool:
    """Whether the chosen model is a protein classifier; else offers those that there are."""
    return protein_models.choose(("classifier",), "protein classifier")
