"""A result as one page that opens from disk, offline, with its figures as live as in the app."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import standalone

# Rows of a table that are shown: the files of the app have all.
ROWS = 100


class Part(NamedTuple):
    """Something of the page that a report has: a figure, a table, a sentence.

    Attributes:
        words: what it shows.
        figure: makes it, once a report is asked for.
        text: Markdown, above the figure.
        code: the Python that gives it, where that is not the call of the whole result.
        html: a figure that needs no script, below the text.
    """

    words: str
    figure: Callable[[], go.Figure] | None = None
    table: pd.DataFrame | None = None
    text: str = ""
    code: str = ""
    html: str = ""


def report(
    title: str, facts: Mapping[str, str], parts: Sequence[Part], code: Mapping[str, str]
) -> str:
    """The page; nothing in it is fetched, and all text is shown as text.

    Args:
        facts: what was asked, of which model, when, and how: names and values.
        code: the calls that give the result, by language.
    """
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )
    body = []
    scripted = False  # the script of the figures is in the page once
    for part in parts:
        drawn = ""
        if part.figure is not None:
            figure = standalone(part.figure())
            drawn = figure.to_html(full_html=False, include_plotlyjs=not scripted)
            scripted = True
        body.append(
            f"<section><h2>{escape(part.words)}</h2>{paragraphs(part.text)}"
            f"{part.html}{drawn}{_table(part.table)}{_code(part.code)}</section>"
        )
    calls = "".join(
        f"<h2>{escape(language)}</h2><pre>{escape(call)}</pre>" for language, call in code.items()
    )
    return (
        "<!DOCTYPE html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f"<table class='facts'>{rows}</table>{''.join(body)}{calls}</html>"
    )


def paragraphs(markdown: str) -> str:
    """HTML of the little Markdown that sentences have: paragraphs, bold, emphasis, escapes."""
    # An escaped mark is no mark: it goes through as a reference to its character.
    words = re.sub(r"\\([^a-zA-Z0-9\s])", lambda mark: f"\0{ord(mark[1])};", markdown)
    words = escape(words, quote=False)
    words = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", words, flags=re.DOTALL)
    words = re.sub(r"\*(.+?)\*", r"<i>\1</i>", words, flags=re.DOTALL)
    words = words.replace("\0", "&#")
    return "".join(f"<p>{part}</p>" for part in words.strip().split("\n\n") if part)


def _code(code: str) -> str:
    return f"<details><summary>Python</summary><pre>{escape(code)}</pre></details>" if code else ""


def _table(table: pd.DataFrame | None) -> str:
    if table is None:
        return ""
    more = f" (the first {ROWS} of {len(table):,} rows)" if len(table) > ROWS else ""
    shown = table.head(ROWS).to_html(index=False, border=0, na_rep="", float_format="{:.5g}".format)
    return f"<details><summary>Table{more}</summary><div>{shown}</div></details>"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1C2129; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.8rem; } h2 { font-size: 1.05rem; font-weight: 600; margin-top: 2rem; }
.facts th { text-align: left; padding-right: 1rem; vertical-align: top; font-weight: 600; }
.facts td { overflow-wrap: anywhere; }
details div { overflow-x: auto; max-height: 24rem; } details table { font-size: 0.85rem; }
.strip span { display: inline-block; white-space: pre; padding: 0 3px; margin: 1px;
  border-radius: 4px; }
pre { background: #F3F5F8; padding: 0.8rem; overflow-x: auto; }
"""
