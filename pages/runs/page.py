"""Everything computed on this server: open, compare, export, delete, resume."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures.charts import agreement
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.neurons import NeuronScores
from neuronlab.runs import Pending, Record, Run, Shelf
from neuronlab.runs.shelf import MAX_BYTES, MAX_NAME, MAX_NOTE, Contents
from neuronlab.studies.attribution import AttributionSpec, scores_of
from neuronlab.widgets import exports, links, runs, selection, services
from neuronlab.widgets.guard import complain, counted, guard, plain
from pages import PAGE_OF
from pages.runs import pictures
from pages.runs.whole import neuron, whole

# Of the widget that names the collection whose runs are listed.
COLLECTION = "history_collection"
ALL, HERE, EXAMPLES = "all", "computed here", "examples"
# What is seen of a run; all else of it is found by its words. Some only where a run has any.
_SHOWN = ("picture", "name", "asked", "run", "model", "when", "from", "state", "settings")
_RARE = ("name", "settings")
_ROW = 44  # px: a picture is recognised


def main() -> None:
    with guard():
        under_way()
    with guard():
        interrupted()
    everything = services.store().history()
    more = pictures.draw(everything)
    with guard():
        history(everything)
    if more:
        st.rerun()


def under_way() -> None:
    """Queued and running, with progress and cancel; and what failed since the server started."""
    everything = services.queue().runs()
    for run in everything:
        if run.active:
            st.markdown(plain(runs.title_of(run)))
            runs.watch(run.key, f"list_{run.key}")
        elif run.status == "failed":
            failed(run)


def failed(run: Run) -> None:
    """One sentence about what went wrong, and another try."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        complain(f"{runs.title_of(run)}: {run.error}", run.details)
    right.button("Try again", key=f"again_{run.key}", on_click=again, args=(run,))


def again(run: Run) -> None:
    """Try a run once more."""
    runs.submit(run.spec, run.device)


def interrupted() -> None:
    """Runs that a stopped server left unfinished."""
    for pending in services.store().interrupted():
        left, first, second = st.columns([5, 1, 1], vertical_alignment="center")
        left.warning(
            f"Interrupted: {plain(runs.title(pending.study, pending.spec))}",
            icon=":material/pause_circle:",
        )
        first.button("Resume", key=f"resume_{pending.key}", on_click=resume, args=(pending,))
        second.button(
            "Discard",
            key=f"discard_{pending.key}",
            on_click=services.store().unmark_pending,
            args=(pending.key,),
        )


def resume(pending: Pending) -> None:
    """Go on with an interrupted run."""
    services.queue().resume(pending, owner=services.owner())


def history(everything: Sequence[Record]) -> None:
    """The table of finished runs and what can be done with the selected ones."""
    heading = st.empty()
    heading.header(f"Finished: {len(everything)}")
    shelf = Shelf(services.store())
    contents = shelf.read()
    collections(shelf, contents)
    if not everything:
        st.caption("Nothing yet.")
        return
    records, table = wanted(everything, contents)
    if len(records) < len(everything):
        heading.header(f"Finished: {len(records)} of {len(everything)}")
    if not records:
        return
    chosen = selected(records, table)
    if not chosen:
        return
    actions(chosen, everything)
    with guard():
        notes(shelf, contents, chosen, everything)
    for record in chosen:
        if not record.readable:
            complain(record.problem)
    comparable = all(r.readable and r.study == AttributionSpec.study for r in chosen)
    if len(chosen) == 2 and comparable:
        with guard():
            compare(*chosen)


def selected(records: list[Record], table: pd.DataFrame) -> list[Record]:
    """The table of runs; those that are ticked, or else the one that was clicked."""
    event = st.dataframe(
        table,
        hide_index=True,
        row_height=_ROW,
        height=min(40 + _ROW * len(records), 480),
        on_select="rerun",
        selection_mode=selection.MODES,
        column_order=[each for each in _SHOWN if each not in _RARE or table[each].any()],
        # Another after each deletion: else the row that moves up is selected.
        key=f"history_{st.session_state.setdefault('history_deletions', 0)}",
        column_config={
            "picture": st.column_config.ImageColumn(
                width=76, help="Of the result: purple is above zero, orange below."
            ),
            "name": st.column_config.TextColumn(width=120),
            "asked": st.column_config.TextColumn(width=230),
            "run": st.column_config.TextColumn(width=170),
            "settings": st.column_config.TextColumn(
                width=120, help="In what runs that are called the same differ."
            ),
            "model": st.column_config.TextColumn(width=96),
            "when": st.column_config.DatetimeColumn(format="D MMM, HH:mm", width=104),
            "from": st.column_config.TextColumn(width=72),
            "state": st.column_config.TextColumn(width=60),
        },
    )
    alone = selection.clicked(event.selection, len(records))
    rows = selection.ticked(event.selection, len(records)) or ([] if alone is None else [alone])
    st.caption(
        "Click a run to open, name, export or delete it, tick two attributions to compare them, "
        "and any number of runs to put them into a collection."
    )
    return [records[row] for row in rows]


def wanted(records: Sequence[Record], contents: Contents) -> tuple[list[Record], pd.DataFrame]:
    """The runs of a collection, or all, that have some words; and their rows."""
    left, middle, right = st.columns([4, 4, 3], vertical_alignment="bottom")
    whose = middle.segmented_control(
        "Show",
        [ALL, HERE, EXAMPLES],
        default=ALL,
        key="history_whose",
        required=True,
        persist_state="session",
        help="Examples come with the project: pages open on them.",
    )
    of = right.selectbox(
        "Collection",
        ["", *contents.collections],
        format_func=lambda name: name or "all runs",
        key=COLLECTION,
        persist_state="session",
    )
    words = left.text_input(
        "Find",
        key="history_words",
        placeholder="name, note, page, prompt, model",
        persist_state="session",
    )
    if of:
        by_key = {record.key: record for record in records}
        records = [by_key[key] for key in contents.collections[of] if key in by_key]
        if not records:
            st.info("None of its runs is on this server any more.", icon=":material/info:")
            return [], pd.DataFrame()
    if whose != ALL:
        records = [each for each in records if is_example(each) == (whose == EXAMPLES)]
        if not records:
            st.info("None: choose “all”.", icon=":material/info:")
            return [], pd.DataFrame()
    table = pd.DataFrame([row(record, contents.of(record.key).name) for record in records])
    for rows in table.groupby(["run", "asked", "model"]).indices.values():
        if len(rows) > 1:
            table.loc[rows, "settings"] = runs.settings_apart([records[i].spec for i in rows])
    searched = table[["name", "page", "run", "asked", "model", "key"]].assign(
        note=[contents.of(record.key).note for record in records]
    )
    lines = searched.agg(" ".join, axis=1).str.lower()
    fits = [all(word in line for word in words.lower().split()) for line in lines]
    if not any(fits):
        st.info("No run has all of these words.", icon=":material/search_off:")
    return [record for record, fit in zip(records, fits, strict=True) if fit], table[fits]


def collections(shelf: Shelf, contents: Contents) -> None:
    """Results that belong together, to take along as one file."""
    with st.popover("Collections", icon=":material/collections_bookmark:"), guard():
        for number, (name, keys) in enumerate(contents.collections.items()):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(name)}**: {counted(len(keys), 'run')}")
                st.download_button(
                    "Download",
                    partial(shelf.pack, name),
                    f"{name}.zip",
                    "application/zip",
                    on_click="ignore",
                    key=f"collection_pack_{number}",
                )
                st.button(
                    "Forget",
                    key=f"collection_forget_{number}",
                    on_click=forget,
                    args=(shelf, name),
                    help="Its runs stay.",
                )
        if not contents.collections:
            st.caption("None yet: select runs below, and put them into one.")
        with st.form("collection_import", clear_on_submit=True, border=False):
            file = st.file_uploader(
                "Bring a collection from another server (zip)",
                type="zip",
                max_upload_size=MAX_BYTES // 1_000_000,
            )
            if st.form_submit_button("Bring it here") and file is not None:
                st.session_state[COLLECTION] = shelf.unpack(file.name, file.getvalue())
                st.rerun()


def forget(shelf: Shelf, name: str) -> None:
    """Take a collection off the shelf, and show all runs."""
    shelf.discard(name)
    st.session_state[COLLECTION] = ""


def notes(
    shelf: Shelf, contents: Contents, chosen: list[Record], everything: Sequence[Record]
) -> None:
    """What people say of a run, and in which collections runs are."""
    if len(chosen) == 1:
        key, about = chosen[0].key, contents.of(chosen[0].key)
        with st.form(f"about_{key}", border=False):
            name = st.text_input("Name", about.name, max_chars=MAX_NAME)
            note = st.text_area("Note", about.note, max_chars=MAX_NOTE, height=80)
            if st.form_submit_button("Keep name and note"):
                shelf.describe(key, name, note)
                st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        into = st.selectbox(
            "Put into a collection",
            list(contents.collections),
            None,
            accept_new_options=True,
            placeholder="choose one, or type a new name",
            key="collection_name",
            width=320,
        )
        if st.button("Put in", disabled=not into, key="collection_put"):
            # A part is seen with what is made from it: both go.
            shown = [whole(record, everything) or record for record in chosen]
            shelf.collect(str(into), list(dict.fromkeys(r.key for r in [*chosen, *shown])))
            st.rerun()


def is_example(record: Record) -> bool:
    """Whether a result comes with the project."""
    return "example" in record.provenance


def row(record: Record, name: str) -> dict:
    """A record as a row of the table."""
    page = PAGE_OF.get(record.study)
    heading = runs.heading(record.study, record.spec)
    return {
        "picture": pictures.of(record.key),
        "asked": runs.question(record.spec) or heading,  # all that a phone shows of a row
        "run": heading,
        "name": name,
        "page": page.title if page else "",
        "model": runs.models_of(record.spec),
        "settings": "",  # of runs that are called the same: see `wanted`
        "when": record.created,
        "from": "example" if is_example(record) else "here",
        "state": "ready" if record.readable else "not readable",
        "key": record.key,
    }


def actions(chosen: list[Record], everything: Sequence[Record]) -> None:
    """Open and export one; delete all that are selected."""
    with st.container(horizontal=True):
        only = chosen[0] if len(chosen) == 1 else None
        shown = whole(only, everything) if only else None
        alone = only is not None and only.readable and shown is None
        opened = st.button(
            "Open",
            disabled=shown is None,
            type="primary",
            icon=":material/open_in_new:",
            help="No result here is made from it: none can show it." if alone else None,
        )
        if opened and only and shown:
            links.leave()
            st.switch_page(
                PAGE_OF[shown.study].path, query_params={"run": shown.key, **neuron(only)}
            )
        st.download_button(
            "Export (zip)",
            (lambda: services.store().export(only.key)) if only else b"",
            f"{only.key if only else 'run'}.zip",
            "application/zip",
            disabled=only is None or not only.readable,
            on_click="ignore",
        )
        with st.popover(f"Delete {len(chosen)}", icon=":material/delete:"):
            st.markdown(f"Delete {counted(len(chosen), 'result')} from the disk?")
            st.button("Yes, delete", on_click=delete, args=([r.key for r in chosen],))


def delete(keys: list[str]) -> None:
    """Remove results from the disk."""
    for key in keys:
        services.store().delete(key)
    services.result.clear()
    st.session_state["history_deletions"] += 1


def compare(first: Record, second: Record) -> None:
    """Do two runs agree?"""
    st.header("Compare")
    names = runs.title(first.study, first.spec), runs.title(second.study, second.spec)
    a, b = (scores_of(services.result(record.key)[1]) for record in (first, second))
    table = agreement_table(a, b)
    if table.empty:
        st.info("These runs share no component of the same size: there is nothing to compare.")
        return
    left, right = st.columns([3, 2])
    with left:
        exports.chart(
            agreement(a, b, names),
            table,
            "agreement",
            "Scatter of the neuron scores of the two runs.",
        )
    with right:
        exports.listed(table)
        st.caption(
            "Spearman: correlation of ranks over all neurons. Shared: of the top 10 and top 100 "
            "neurons, how many both runs have; by chance it would be next to none."
        )


def agreement_table(a: NeuronScores, b: NeuronScores) -> pd.DataFrame:
    """Rank correlation and shared top neurons, per component that both runs scored."""
    rows = []
    for component in a:
        if component not in b.arrays or a[component].shape != b[component].shape:
            continue
        x, y = (pd.Series(s[component].ravel()) for s in (a, b))
        shared = {
            f"shared top {k}": len(np.intersect1d(x.nlargest(k).index, y.nlargest(k).index))
            for k in (10, 100)
        }
        spearman = x.rank().corr(y.rank())
        rows.append({"component": COMPONENT_NAMES[component], "spearman": spearman, **shared})
    return pd.DataFrame(rows)


main()
