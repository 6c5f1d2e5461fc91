"""Values of residues: the same colours in the sequence and the map."""

import base64

import numpy as np
import pandas as pd
import pytest
from plotly.colors import sample_colorscale, unlabel_rgb

from neuronlab.figures import protein
from neuronlab.figures.colours import DIVERGING, DIVERGING_LIT, NEUTRAL

FIRST, ORANGE, ZERO, PURPLE, LAST = DIVERGING


@pytest.mark.parametrize(
    ("values", "colours"),
    [
        # Half way to the strongest colour is a quarter of its value.
        ([-4, -1, 0, 1, 4], [FIRST, ORANGE, ZERO, PURPLE, LAST]),
        ([-1, 0, 4], [ORANGE, ZERO, LAST]),
        ([-4, 0, 2], [FIRST, ZERO, None]),
        ([0, 2, 8], [ZERO, PURPLE, LAST]),
        ([-8, -2, 0], [FIRST, ORANGE, ZERO]),
        ([5], [LAST]),
        ([-5], [FIRST]),
        ([0, 0], [ZERO, ZERO]),
        ([np.nan, 1, -np.inf], [NEUTRAL, LAST, NEUTRAL]),
        ([np.nan], [NEUTRAL]),
        ([], []),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_is_neutral_and_the_extremes_are_the_ends(values, colours, dtype):
    given = protein.value_colours(np.array(values, dtype))
    assert len(given) == len(colours)
    assert [g for g, c in zip(given, colours, strict=True) if c] == [c for c in colours if c]


def test_a_dark_ground_has_its_own_colours():
    assert protein.value_colours(np.array([-4.0, -1, 0, 1, 4]), dark=True) == DIVERGING_LIT
    assert DIVERGING_LIT[0] in protein.scale_bar("score", np.array([-1.0, 1]), dark=True)


def test_several_proteins_share_the_scale_of_all_their_values():
    assert protein.value_colours(np.array([1.0, -1.0]), np.array([-4.0, 1.0, 2.0])) != (
        protein.value_colours(np.array([1.0, -1.0]))
    )
    shared = np.array([-4.0, -2.0, 0.0, 2.0])
    assert protein.value_colours(shared[1:], shared) == protein.value_colours(shared)[1:]
    bar = protein.scale_bar("<b>", shared)
    assert bar.startswith("&lt;b&gt; −4 ")
    assert bar.endswith(" +4 (by square root)")
    bar = protein.scale_bar("activation", np.array([0.0, 274.2]))
    assert bar.startswith("activation 0 ")
    assert bar.endswith(" 274 (by square root)")


def test_a_value_far_beyond_the_others_sets_no_scale_and_is_named():
    values = np.array([*[-1.0] * 30, 27.4])
    assert protein.value_scale(values)[1:] == (-1.0, 1.0)
    assert set(protein.value_colours(values)) == {FIRST, LAST}
    assert protein.scale_bar("score", values).endswith("; beyond the scale: +27.4")
    names = [f"<{i}>" for i in range(31)]
    assert "beyond the scale: &lt;30&gt; +27.4" in protein.scale_bar("score", values, names)
    contacts = protein.contact_data(np.zeros((31, 31)), values, "A" * 31)
    assert contacts["limit"] == 1.0


@pytest.mark.parametrize("values", [np.linspace(-1, 3, 13), np.linspace(0, 3, 9)])
def test_the_track_has_the_colours_of_the_view(values):
    (heat,) = protein.residue_track("A" * len(values), values).data
    places = (values - heat.zmin) / (heat.zmax - heat.zmin)
    drawn = sample_colorscale([list(step) for step in heat.colorscale], places)
    for text, colour in zip(drawn, protein.value_colours(values), strict=True):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        np.testing.assert_allclose(unlabel_rgb(text), rgb, atol=1)


@pytest.mark.parametrize("secondary", [False, True])
@pytest.mark.parametrize("count", [1, 59, 60, 61, 150])
def test_residue_track_holds_each_residue_at_its_place(count, secondary):
    letters = [chr(65 + i % 26) for i in range(count)]
    states = "HGC"[: 3 if secondary else 0] * count
    values = np.linspace(-1, 2, count)
    figure = protein.residue_track("".join(letters), values, states[:count])
    heat, step = figure.data[0], 2 if secondary else 1
    z, text, hover = np.array(heat.z, float), np.array(heat.text), np.array(heat.customdata)
    assert z.shape == (step * -(-count // 60), 60)
    np.testing.assert_allclose(z[::step].ravel()[:count], values)
    assert np.isfinite(z).sum() == count
    assert text[::step].ravel()[:count].tolist() == letters
    assert hover[::step].reshape(-1, 2)[:count, 0].tolist() == list(range(1, count + 1))
    words = hover[::step].reshape(-1, 2)[:count, 1]
    assert words[0] == ("<br>H α-helix" if secondary else "")
    if secondary:
        below = figure.data[1]
        assert list(below.text) == list(states[:count])
        assert np.floor(np.array(below.y)).tolist() == [2 * (i // 60) for i in range(count)]
        assert np.array(below.x).tolist() == [i % 60 for i in range(count)]


def test_contact_map_and_its_strips():
    contacts = np.array([[1, 0.256, 0], [0.256, 1, 0.5], [0, 0.5, 1.2]], np.float32)
    values = np.array([-1.0, 0.0, 0.5], np.float32)
    figure = protein.contact_map(contacts, values, "MK<")
    heat, top, left = figure.data
    assert heat.z.tolist() == [[100, 26, 0], [26, 100, 50], [0, 50, 100]]
    assert list(heat.x) == list(heat.y) == ["M1", "K2", "&lt;3"]
    assert list(top.x) == list(left.y) == list(heat.x)
    np.testing.assert_array_equal(np.ravel(top.z), values)
    np.testing.assert_array_equal(np.ravel(left.z), values)
    assert (top.zmin, top.zmax) == (left.zmin, left.zmax) == (-1, 1)
    assert figure.layout.yaxis.scaleanchor == "x"


def test_a_large_contact_map_stays_small():
    figure = protein.contact_map(np.full((1_000, 1_000), 1 / 3), np.zeros(1_000), "A" * 1_000)
    assert len(figure.to_json()) < 2_000_000


def test_state_bars_have_their_intervals():
    table = pd.DataFrame(
        {"state": ["H", "any"], "mean": [0.5, -1.0], "low": [0.25, -1.5], "high": [1.0, 0.0]}
    )
    (bar,) = protein.state_bars(table).data
    assert list(bar.y) == ["H α-helix", "any"]
    assert list(bar.x) == [0.5, -1.0]
    assert list(bar.error_x.array) == [0.5, 1.0]
    assert list(bar.error_x.arrayminus) == [0.25, 0.5]


@pytest.mark.parametrize(
    "call",
    [
        lambda values, square: protein.residue_track("MKG", values),
        lambda values, square: protein.residue_track("MK", values, "HHH"),
        lambda values, square: protein.contact_map(square, values, "MKG"),
        lambda values, square: protein.contact_map(square, np.zeros(3), "MKG"),
        lambda values, square: protein.contact_map(square[:1], values, "MK"),
    ],
)
def test_lengths_must_agree(call, without_type_checks):
    with pytest.raises(ValueError, match=r"residues"):
        call(np.zeros(2), np.zeros((2, 2)))


def test_no_letter_becomes_markup():
    table = pd.DataFrame({"state": ["<b>"], "mean": [0.0], "low": [0.0], "high": [0.0]})
    for figure in (
        protein.residue_track("<&", np.zeros(2), "<>"),
        protein.contact_map(np.zeros((2, 2)), np.zeros(2), "<&"),
        protein.state_bars(table),
    ):
        for trace in figure.data:
            names = [trace.x, trace.y] if trace.type == "bar" else [trace.x, trace.y, trace.text]
            shown = [str(t) for part in names if part is not None for t in np.ravel(part)]
            assert not [t for t in shown if "<" in t or t == "&"]


def test_the_map_of_a_browser_has_the_percents_of_the_still_one():
    contacts, values = (
        np.array([[0, 0.126, 2], [0.126, 0, 0.5], [-1, 0.5, 0]]),
        np.array([1.0, -2, 0]),
    )
    data = protein.contact_data(contacts, values, "MKT", linked="x")
    percents = np.frombuffer(base64.b64decode(data["percents"]), np.uint8).reshape(3, 3)
    assert percents.tolist() == [[0, 13, 100], [13, 0, 50], [0, 50, 0]]
    assert np.array_equal(percents, protein.contact_map(contacts, values, "MKT").data[0].z)
    assert (data["letters"], data["limit"], data["linked"]) == ("MKT", 2.0, "x")
    with pytest.raises(ValueError, match="3 values for 4"):
        protein.contact_data(contacts, values, "MKTA")
