"""Structures in 3D: every residue has its colour, and no text leaves its place."""

import json
import re

import numpy as np
import pytest
from web_page import Page

from neuronlab.figures import painted
from neuronlab.figures.colours import DIVERGING, NEUTRAL
from neuronlab.figures.protein import value_colours
from neuronlab.figures.structures import TRACK

FIRST, *_, LAST = DIVERGING
URL = "https://example.org/3Dmol.js"


def calls(html, name):
    """The arguments of every call of a method of the viewer."""
    matches = re.findall(rf"^\tviewer_structure\.{name}\((.*)\);$", html, re.MULTILINE)
    return [json.loads(f"[{arguments}]") for arguments in matches]


def places(html):
    """Where the view has each residue, and what a pointer on it reads."""
    return json.loads(re.search(r"const places = (\{.*\}), ink = ", html)[1])


def view(text="ATOM\n", chain="A", residues=None, values=(-1.0, 0.0, 1.0), **settings):
    residues = residues or [(1, "1"), (2, "2"), (3, "3")]
    paint = painted.by_value(np.array(values), "score")
    return painted.structure_view(text, chain, residues, paint, URL, **settings)


def test_the_view_colours_each_residue():
    html = view(residues=[(52, "52"), None, (53, "52A")])
    assert calls(html, "addModel") == [["ATOM\n", "cif"]]
    (everything, others), (chosen, style) = calls(html, "setStyle")
    assert (everything, chosen) == ({}, {"chain": "A"})
    assert others["cartoon"]["style"] == "trace"
    assert style["cartoon"]["color"] == NEUTRAL
    assert style["cartoon"]["colorscheme"] == {
        "prop": "resi",
        "map": {"52": FIRST, "53": LAST},
    }
    assert calls(html, "zoomTo") == [[{"chain": "A"}]]
    ((selection, on, _, _),) = calls(html, "setHoverable")
    assert (selection, on) == ({"chain": "A"}, True)
    # Numbered as in the sequence, whatever the file calls them; one that is not seen has no place.
    assert places(html) == {"1": [[0, 0, "A", 52, "52: -1"]], "3": [[0, 0, "A", 53, "52A: 1"]]}
    assert f"loadScriptAsync('{URL}')" in html


def test_words_stand_where_the_view_is_yet_to_be_drawn():
    html = view()
    words, script = html.index("Drawing in 3D &hellip;</p>"), html.index("<script>")
    assert words < script < html.index('getElementById("drawing").remove()')


def test_size_ground_and_sameness():
    html = view(dark=True)
    assert "width: 100%; height: 100%" in html
    assert calls(html, "setBackgroundColor") == [["#12161D"]]
    assert calls(view(), "setBackgroundColor") == [["#FFFFFF"]]
    assert html == view(dark=True)


@pytest.mark.parametrize(
    "evil",
    [
        "</script><script>alert(1)</script>",
        "</SCRIPT ><img src=x onerror=alert(1)>",
        "<!-- <script>",
        '"); alert(1); ("\'`\\',
        "\u2028\u2029\r\n\x00\\u003c/script>",
    ],
)
def test_nothing_in_a_file_leaves_its_string(evil):
    html = view(text=f"REMARK {evil}\n", chain=evil, residues=[(1, evil), (2, "2"), None])
    page, clean = Page(html), Page(view())
    assert page.tags == clean.tags
    assert len(page.scripts) == len(clean.scripts)
    assert calls(html, "addModel") == [[f"REMARK {evil}\n", "cif"]]
    assert calls(html, "zoomTo") == [[{"chain": evil}]]
    assert calls(html, "setStyle")[1][1]["cartoon"]["colorscheme"]["map"]["1"] == FIRST
    assert places(html)["1"] == [[0, 0, evil, 1, f"{evil}: -1"]]


def test_states_are_helix_strand_or_neither():
    paint = painted.by_state("HGIEBTSC ")
    colour = {kind: shade for kind, _, _, shade in TRACK}
    assert paint.colours == [colour[kind] for kind in "HHHEE----"]
    assert paint.texts[:2] == ["H α-helix", "G 3₁₀-helix"]
    for _, name, _, shade in TRACK:
        assert f'<i style="background: {shade}"></i>{name}' in paint.legend


def test_values_are_painted_on_the_scale_that_is_asked_for():
    values, wide = np.array([1.0, np.nan]), np.array([-8.0, 1.0])
    paint = painted.by_value(values, "<i>", wide)
    assert paint.colours == value_colours(values, wide)
    assert paint.texts == ["1", "nan"]
    assert paint.legend.startswith("&lt;i&gt; −8 ")
    far = np.array([*[-1.0] * 30, 27.4])
    assert (
        "beyond the scale: K31 +27.4"
        in painted.by_value(far, "score", letters="A" * 30 + "K").legend
    )


def test_every_residue_needs_a_colour():
    paint = painted.by_value(np.zeros(2), "score")
    with pytest.raises(ValueError, match="2 colours for 1 residues"):
        painted.structure_view("", "A", [(1, "1")], paint, URL)
