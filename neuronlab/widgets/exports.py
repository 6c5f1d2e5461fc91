"""A figure with its description, its table and its downloads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab import __version__, spreadsheets
from neuronlab.attribution import METHODS
from neuronlab.figures.charts import standalone, visible
from neuronlab.figures.report import Part, report
from neuronlab.widgets import address, method_form, runs, services
from neuronlab.widgets.browser import element

_mount = element("pictures")
_follow = element("tracks")
_fill = element("fullscreen")
# Columns of result tables that hold tokens.
_TOKENS = {"token", "text", "answer"}
# In a table, where there is no value.
NOTHING = "–"
# In the address: the page alone, without what is around it.
PRESENTED = "present"
_ABOUT_REPORT = (
    "The charts, maps and coloured texts of the page and of all its sections, for offline. "
    "Graphs and 3D views stay on the page; tables without a figure are in the whole result."
)


def chart(
    figure: go.Figure,
    table: pd.DataFrame,
    name: str,
    alt: str,
    *,
    linked: str = "",
    code: str = "",
) -> None:
    """A plotly figure; the fold below holds table and files.

    Args:
        name: of the files, and of the widgets: unique on the page.
        alt: what the figure shows, for those who do not see it.
        linked: the name that the figures of one protein share, where residues are along the first
            axis: see ``figures.tokens.strip``.
        code: the Python that gives it, where that is not the call of the whole result.
    """
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "svg", "filename": name},
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    }
    key = f"chart_{name}"
    st.plotly_chart(figure, key=key, config=config, alt=alt)
    if linked:
        _follow(key=f"along_{name}", data={"figure": key, "linked": linked})
    reported(name, Part(alt, lambda: figure, table, code=code))
    # The figure is in the page already: its file is made when asked for.
    files = {"HTML": ("html", lambda: standalone(figure).to_html(), "text/html")}
    # Of thousands of points, which a browser draws past its page, the tool bar has the picture.
    drawn = all(trace.type != "scattergl" for trace in figure.data)
    tables(table, name, files, figure=key if drawn else "", alt=alt)


def begin(title: str) -> None:
    """A page is drawn anew: a report has what it shows, and nothing of the last one."""
    st.session_state["reported"] = {}
    st.session_state["report_title"] = title


def report_asked() -> bool:
    """Whether a report of the page is asked for, which has what is not drawn, too."""
    return bool(st.session_state.get("report"))


@contextmanager
def unseen() -> Iterator[None]:
    """What is drawn meanwhile is on no page; a report has its figures."""
    with DeltaGenerator(root_container=None):
        yield


def finding(name: str, words: str, text: str) -> None:
    """What was found, in Markdown: on the page, and below ``words`` in a report of it."""
    st.markdown(text)
    reported(name, Part(words, text=text))


def reported(name: str, part: Part) -> None:
    """Have a report of the page hold something of it."""
    st.session_state["reported"][name] = part


def listed(table: pd.DataFrame, height: int | Literal["auto"] = "auto") -> None:
    """A table with blanks in its heads and signs for those of tokens; its files keep both."""
    words = {name: str(name).replace("_", " ") for name in table.columns}
    shown = {
        name: [visible(token) if isinstance(token, str) else token for token in table[name]]
        for name in _TOKENS.intersection(table.columns)
    }
    st.dataframe(
        table.assign(**shown),
        hide_index=True,
        column_config=words,
        height=height,
        placeholder=NOTHING,
    )


def tables(
    table: pd.DataFrame,
    name: str,
    files: dict[str, tuple] | None = None,
    label: str = "Table and files",
    *,
    corner: bool = True,
    figure: str = "",
    alt: str = "",
    caption: Sequence[str] | None = None,
) -> None:
    """The table behind a figure and downloads of it, folded.

    Args:
        corner: below a figure, in its corner; not in a row of buttons.
        figure: key of the widget whose picture is among the files, with what was asked above it.
        alt: what the figure shows: the picture's title.
        caption: what else is written above the picture, where it is of no run.
    """
    with (
        st.container(
            key=f"{'files' if corner else 'beside'}_{name}",
            width="stretch" if corner else "content",
            horizontal_alignment="right",
        ),
        st.popover(label, icon=":material/table:", type="tertiary"),
    ):
        listed(table, height=min(38 + 35 * len(table), 300))
        formats = {
            "CSV": ("csv", lambda: spreadsheets.csv(table), "text/csv"),
            "JSON": ("json", lambda: table.to_json(orient="records"), "application/json"),
            **(files or {}),
        }
        with st.container(horizontal=True):
            for label, (ending, make, mime) in formats.items():
                st.download_button(
                    label,
                    make,
                    f"{name}.{ending}",
                    mime,
                    key=f"file_{name}_{ending}",
                    on_click="ignore",
                )
            if figure:
                _mount(
                    key=f"picture_{name}",
                    data={
                        "figure": figure,
                        "name": name,
                        "title": alt.removesuffix("."),
                        "caption": None if caption is None else list(caption),
                        "page": False,
                        "light": _light(),
                        "scales": _scales(),
                    },
                )


def _light() -> dict[str, str]:
    """The colours of a light page, as elements of our own know them."""
    names = ("backgroundColor", "secondaryBackgroundColor", "textColor", "borderColor")
    words = ("background-color", "secondary-background-color", "text-color", "border-color")
    return {
        f"--st-{word}": st.get_option(f"theme.light.{name}")
        for word, name in zip(words, names, strict=True)
    }


def _scales() -> list[list[list[str]]]:
    """The scales of colours of plotly's heatmaps: of the dark page, and of the light one."""
    return [
        [st.get_option(f"theme.{page}.chart{name}Colors") for page in ("dark", "light")]
        for name in ("Sequential", "Diverging")
    ]


def map_files(option: dict[str, Any]) -> dict[str, tuple]:
    """The ECharts option as a file, for the downloads of a map."""
    return {"ECharts": ("echarts.json", lambda: json.dumps(option), "application/json")}


def present(on: bool = True) -> None:
    """Show the page alone, or what is around it again; the address says so."""
    if on:
        st.query_params[PRESENTED] = "1"
    else:
        del st.query_params[PRESENTED]


def presenting() -> None:
    """What stands above the page alone: the way back, and a button that fills the screen."""
    with st.container(horizontal=True, key="presentation"):
        st.button(
            "Leave the presentation",
            icon=":material/close_fullscreen:",
            type="tertiary",
            key="leave_presentation",
            shortcut="Esc",
            on_click=present,
            args=(False,),
        )
        _fill(key="fullscreen")


def _caption(key: str) -> list[str]:
    """What is written above the pictures of a result's figures."""
    spec, made = services.result(key)[0], services.store().provenance(key)
    study = runs.heading(str(spec["study"]), spec)
    computed = f"{study}: run {key}, {made['created'][:10]}, NeuronLab {__version__}"
    return [line for line in (runs.question(spec), runs.models_of(spec), computed) if line]


def _report(title: str, key: str, parts: Mapping[str, Part], calls: Mapping[str, str]) -> str:
    """A page of a result that opens offline."""
    spec, made = services.result(key)[0], services.store().provenance(key)
    facts = {
        "asked": runs.question(spec),
        "model": runs.models_of(spec),
        "study": runs.heading(str(spec["study"]), spec),
        "computed": f"{made['created'][:10]}, in {made['seconds']:.1f} s",
        "settings": "; ".join(f"{name}: {value}" for name, value in _settings(spec).items()),
        "with": f"NeuronLab {__version__}, run {key}",
    }
    return report(title, facts, [*parts.values()], calls)


def _settings(spec: Mapping[str, Any]) -> dict[str, str]:
    """What a spec says besides what was asked of which model; of a method, as its form says it."""
    words = method_form.words(spec) if spec.get("method") in METHODS else {}
    asked = {"study", "version", "model", "text", "target", "foil"}
    if words:
        asked |= method_form.FIELDS
    for name, value in spec.items():
        if name not in asked and value not in (None, "", [], {}):
            several = ", ".join(map(str, value)) if isinstance(value, list) else value
            words[name.replace("_", " ")] = str(several)
    return words


def share_view(python: str, opens: str | None = None) -> None:
    """The address of what is shown, the page alone, and the exact calls; to be drawn in a row.

    Args:
        opens: see ``address.draw``.
    """
    with st.popover("Share", icon=":material/share:", type="tertiary"):
        address.draw("page", opens)
    st.button(
        "Present",
        icon=":material/slideshow:",
        type="tertiary",
        key="present",
        on_click=present,
        help="The page alone, for a projector; there a button has it fill the screen.",
    )
    with st.popover("Copy as Python", icon=":material/code:", type="tertiary"):
        st.code(python, language="python")


def share(key: str, python: str, command: str) -> None:
    """The exact calls that give a result, and the whole of it as files."""
    store = services.store()
    # What is drawn again after this, such as another proof, is in it as it stands then.
    parts: dict[str, Part] = st.session_state["reported"]

    title = st.session_state["report_title"]
    calls = {"The whole result, as Python": python, "The same as a command": command}
    page = partial(_report, title, key, parts, calls)
    if store.has(key):
        _mount(key="caption", data={"caption": _caption(key), "page": True, "figure": ""})
    with st.container(horizontal=True):
        share_view(python)
        with st.popover("Copy as command", icon=":material/terminal:", type="tertiary"):
            st.code(command, language="bash")
        # Opened, it has the page drawn once more, with all its sections.
        with st.popover(
            "Report (HTML)",
            icon=":material/description:",
            type="tertiary",
            disabled=not store.has(key),  # a preview
            key="report",
            on_change="rerun",
        ):
            st.caption(_ABOUT_REPORT)
            if report_asked():
                _download("Download the report", page, f"{key}.html", "text/html")
        _download(
            "Whole result (zip)",
            partial(store.export, key),
            f"{key}.zip",
            "application/zip",
            disabled=not store.has(key),
        )


def _download(
    label: str, make: Callable[[], str | bytes], file: str, mime: str, *, disabled: bool = False
) -> None:
    st.download_button(
        label,
        make,
        file,
        mime,
        on_click="ignore",
        disabled=disabled,
        type="tertiary",
        icon=":material/download:",
        key=f"export_run_{file.rpartition('.')[2]}",
    )
