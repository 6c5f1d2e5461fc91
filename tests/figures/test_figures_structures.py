"""Structures in 3D and their tracks: what the page tells the viewer, read back from it."""

import json
import re

import numpy as np
import pytest
from web_page import Page

from neuronlab.figures import structures as figures
from neuronlab.proteins.folding import Folded

URL = "https://example.org/3Dmol.js"


def folded(*chains, confidence=None, pdb="ATOM\n", secondary=""):
    sequence = "".join(chains)
    confidence = np.full(len(sequence), 80.0) if confidence is None else np.array(confidence)
    secondary = secondary or "-" * len(sequence)
    ids = tuple(zip("HL", chains, strict=False))
    return Folded("drawn", pdb, sequence, ids, confidence, secondary)


def calls(html, name):
    """The panel and the arguments of every call of a method of the viewers."""
    matches = re.findall(
        rf"\tviewergrid_structures\[0\]\[(\d)\]\.{name}\((.*)\);$", html, re.MULTILINE
    )
    return [(int(panel), json.loads(f"[{arguments}]")) for panel, arguments in matches]


def schemes(html):
    """Panel, chain and the colour of each residue number, one by one."""
    return [
        (panel, chosen["chain"], style["cartoon"]["colorscheme"]["map"])
        for panel, (chosen, style) in calls(html, "setStyle")
    ]


def test_confidence_has_the_steps_of_the_legend():
    html = figures.structures_view([folded("ACDE", confidence=[95, 90, 69.9, 3])], ["one"], URL)
    colours = [shade for _, shade, _ in figures.CONFIDENCE]
    expected = dict(zip("1234", [colours[0], colours[0], colours[2], colours[3]], strict=True))
    assert schemes(html) == [(0, "H", expected)]
    text = Page(html).text
    assert "mean confidence 64 of 100" in text
    assert all(name in text for _, _, name in figures.CONFIDENCE)


def test_panels_side_by_side_share_a_camera():
    html = figures.structures_view([folded("AC"), folded("AD"), folded("WC")], list("abc"), URL)
    assert [panel for panel, _ in calls(html, "addModel")] == [0, 1, 2]
    assert [panel for panel, _ in calls(html, "setBackgroundColor")] == [0, 1, 2]
    assert "rows: 1, cols: 3, control_all: true" in html


def test_a_narrow_page_shows_one_structure_at_a_time():
    html = figures.structures_view([folded("AC"), folded("AD"), folded("WC")], list("abc"), URL)
    assert html.count('type="radio"') == 3
    assert html.count("checked>") == 1  # and the rules of the style
    assert "body:has(#panel2:checked) > div[id] { margin-left: -200%; }" in html
    alone = figures.structures_view([folded("AC"), folded("AD")], ["a", "b"], URL, overlaid=True)
    assert "radio" not in alone
    assert "@media" not in alone


def test_changed_residues_have_sticks_and_names():
    first, second = folded("ACDE", "GHIK"), folded("AWDE", "GHIL")
    html = figures.structures_view([first, second], ["a", "b"], URL, colour="changed")
    marked = [
        (panel, chain, [n for n, shade in shades.items() if shade == figures.CHANGED])
        for panel, chain, shades in schemes(html)
    ]
    assert marked == [(0, "H", []), (0, "L", []), (1, "H", ["2"]), (1, "L", ["4"])]
    sticks = [(panel, c["chain"], c["resi"]) for panel, (c, _) in calls(html, "addStyle")]
    assert sticks == [(1, "H", [2]), (1, "L", [4])]
    assert "2 changed: H:C2W, L:K4L" in Page(html).text
    # What has not changed tells the chains apart.
    others = {
        chain: {shade for shade in shades.values() if shade != figures.CHANGED}
        for _, chain, shades in schemes(html)
    }
    heavy, light = figures.CHAINS[:2]
    assert others == {"H": {heavy}, "L": {light}}
    assert "as in the first, chain H" in Page(html).text
    one = figures.structures_view([folded("AC"), folded("AD")], ["a", "b"], URL, colour="changed")
    assert "as in the first" in Page(one).text
    assert "chain" not in Page(one).text


def test_many_changes_are_counted():
    html = figures.structures_view(
        [folded("A" * 20), folded("C" * 20)], ["a", "b"], URL, colour="changed"
    )
    assert "20 changed: A1C, A2C" in Page(html).text
    assert "A3C and 17 more" in Page(html).text


def test_attribution_has_one_scale_for_all():
    values = [np.array([-1.0, 0.5]), np.array([2.0, -2.0])]
    html = figures.structures_view(
        [folded("AC"), folded("AC")], ["a", "b"], URL, colour="attribution", values=values
    )
    (_, _, first), (_, _, second) = schemes(html)
    assert (second["1"], second["2"]) == ("#542788", "#B35806")
    assert len({*first.values(), *second.values()}) == 4
    assert "attribution −2" in Page(html).text
    with pytest.raises(ValueError, match="one value per residue"):
        figures.structures_view(
            [folded("ACD")], ["a"], URL, colour="attribution", values=[np.zeros(2)]
        )


def test_structures_over_one_another_differ_in_form():
    html = figures.structures_view(
        [folded("AC"), folded("AD"), folded("WC")], list("abc"), URL, overlaid=True
    )
    assert [panel for panel, _ in calls(html, "addModel")] == [0, 0, 0]
    styles = [style["cartoon"] for _, (_, style) in calls(html, "setStyle")]
    forms = [(style.get("style"), style.get("thickness")) for style in styles]
    assert len(set(forms)) == 3
    text = Page(html).text
    assert all(name in text for name, _ in figures.RIBBONS)


def test_dark_ground_size_and_sameness():
    one = [folded("AC")]
    dark = figures.structures_view(one, ["a"], URL, dark=True)
    assert calls(dark, "setBackgroundColor") == [(0, ["#12161D"])]
    assert calls(figures.structures_view(one, ["a"], URL), "setBackgroundColor")[0][1] == [
        "#FFFFFF"
    ]
    assert "width: 100%; height: 100%" in dark
    assert dark == figures.structures_view(one, ["a"], URL, dark=True)


@pytest.mark.parametrize(
    "evil", ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!-- <script>"]
)
def test_nothing_untrusted_becomes_markup(evil):
    clean = Page(figures.structures_view([folded("AC")], ["a"], URL))
    html = figures.structures_view([folded("AC", pdb=f"REMARK {evil}\n")], [evil], URL)
    assert Page(html).tags == clean.tags
    assert len(Page(html).scripts) == len(clean.scripts)
    assert evil in Page(html).text
    assert calls(html, "addModel") == [(0, [f"REMARK {evil}\n", "pdb"])]
    ticks = figures.secondary_track([folded("AC")], [evil]).layout.yaxis.ticktext
    assert "<" not in ticks[0]


def test_the_track_draws_every_residue_once():
    made = [folded("ACDE", "GHIK", secondary="HHE--EE-"), folded("ACD", secondary="E-H")]
    figure = figures.secondary_track(made, ["a", "b"])
    drawn = {}
    for trace in figure.data:
        for x, base, height in zip(trace.x, trace.base, trace.y, strict=True):
            row = round(base + height / 2)
            assert (row, x) not in drawn
            drawn[row, x] = trace.name
    names = {"H": "helix", "E": "strand", "-": "coil"}
    assert drawn == {
        (row, place): names[letter]
        for row, structure in enumerate(made)
        for place, letter in enumerate(structure.secondary, start=1)
    }
    heights = {trace.name: set(trace.y) for trace in figure.data}
    assert len(set.union(*heights.values())) == 3
    assert [line.x0 for line in figure.layout.shapes] == [4.5]


@pytest.mark.parametrize("count", [0, 4])
def test_one_to_three_structures(count):
    made = [folded("AC")] * count
    for draw in (
        lambda labels: figures.structures_view(made, labels, URL),
        lambda labels: figures.secondary_track(made, labels),
    ):
        with pytest.raises(ValueError, match="1 to 3"):
            draw(["x"] * count)
    with pytest.raises(ValueError, match="labels"):
        figures.structures_view([folded("AC")], [], URL)


@pytest.mark.parametrize(("overlaid", "second"), [(False, [1, 0]), (True, [0, 1])])
def test_residues_are_numbered_on_from_chain_to_chain(overlaid, second):
    html = figures.structures_view(
        [folded("AC", "GH"), folded("AD", "GH")],
        ["a", "b"],
        URL,
        colour="changed",
        overlaid=overlaid,
    )
    places = json.loads(re.search(r"const places = (\{.*\}), ink = ", html)[1])
    assert list(places) == ["1", "2", "3", "4"]
    assert places["2"] == [[0, 0, "H", 2, "H2"], [*second, "H", 2, "H2: changed"]]
    assert places["3"] == [[0, 0, "L", 1, "L1"], [*second, "L", 1, "L1"]]
