"""Plotly figures: the values in them are the data's, and no token becomes markup."""

import numpy as np
import pandas as pd
import pytest

from neuronlab.figures import charts
from neuronlab.figures.colours import AGAINST, COMPONENT_NAMES, FOR
from neuronlab.neurons import NeuronScores

MARKUP = "<b>x</b>"


def choices(tokens, probabilities, first=0):
    return pd.DataFrame(
        {
            "token": tokens,
            "index": range(first, first + len(tokens)),
            "probability": probabilities,
        }
    )


def scores(seed=0, **sizes):
    rng = np.random.default_rng(seed)
    return NeuronScores(
        {c: rng.normal(size=shape).astype(np.float32) for c, shape in sizes.items()}
    )


def shown_texts(figure):
    """Every text of a figure that plotly would read as its little HTML."""
    texts = []

    def walk(node):
        if isinstance(node, dict):
            for value in node.values():
                walk(value)
        elif isinstance(node, list | tuple | np.ndarray):
            for value in node:
                walk(value)
        elif isinstance(node, str):
            texts.append(node)

    described = figure.to_plotly_json()
    described["layout"].pop("template", None)
    walk(described)
    return texts


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (" Paris", "␣Paris"),
        ("Paris", "Paris"),
        ("of the", "of the"),
        ("a  b", "a  b"),
        ("a ", "a␣"),
        (" ", "␣"),
        ("   ", "␣␣␣"),
        (" " * 16, "␣×16"),
        ("\n", "↵"),
        ("\n\n       ", "↵↵␣×7"),
        (" \n", "␣↵"),
        ("\r\n", "\\r↵"),
        ("a\tb", "a⇥b"),
        ("\x0b", "\\x0b"),
        ("\u00a0", "\\xa0"),
        ("\u200b", "\\u200b"),
        ("\u200c", "\\u200c"),
        ("می\u200cروم", "می\u200cروم"),
        ("", ""),
    ],
)
def test_spaces_and_line_breaks_are_visible(token, text):
    assert charts.visible(token) == text


def test_a_long_title_of_an_axis_is_on_lines_that_a_phone_has_room_for():
    title = "probability of the right answer, more than the best method leaves"
    lines = charts.wrapped(title).split("<br>")
    assert " ".join(lines) == title
    assert max(map(len, lines)) <= 34


def test_predictions_shows_the_probabilities():
    table = choices([" Paris", " Lyon", "\n"], [0.7, 0.2, 0.1])
    figure = charts.predictions(table, target=0)
    (bar,) = figure.data
    assert list(bar.x) == [0.7, 0.2, 0.1]
    assert list(bar.y) == ["0", "1", "2"]
    labels = figure.layout.yaxis.ticktext
    assert labels[0].startswith("<b>␣Paris")
    assert labels[1:] == ("␣Lyon", "↵")


def test_predictions_before_and_after_share_their_rows():
    """The two tables may hold other tokens in another order: a bar belongs to its token."""
    before = choices(["a", "b"], [0.6, 0.4])
    after = choices(["b", "c"], [0.5, 0.3], first=1)
    figure = charts.predictions(before, 0, after)
    drawn = {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in figure.data}
    assert drawn == {"as it is": {"0": 0.6, "1": 0.4}, "changed": {"1": 0.5, "2": 0.3}}
    rows = zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True)
    assert [(i, text.removeprefix("<b>")[0]) for i, text in rows] == [
        ("0", "a"),
        ("1", "b"),
        ("2", "c"),
    ]


def test_layer_profile_sums_both_signs_per_layer():
    given = scores(query=(4, 6), ffn=(4, 9))
    figure = charts.layer_profile(given)
    for component in given:
        bars = [bar for bar in figure.data if bar.legendgroup == component]
        values = given[component]
        np.testing.assert_allclose(bars[0].y, np.clip(values, 0, None).sum(1), rtol=1e-5)
        np.testing.assert_allclose(bars[1].y, np.clip(values, None, 0).sum(1), rtol=1e-5)
        assert [bar.showlegend for bar in bars] == [True, False]


def test_of_a_first_token_beyond_the_others_scale_the_bar_is_cut_and_the_number_written():
    figure = charts.token_bars(["The", " cat", " is"], [-90.0, 1.0, -2.0], "score")
    assert figure.layout.yaxis.range == pytest.approx((-2.2, 1.1))
    assert [note.text for note in figure.layout.annotations] == ["-90"]
    late = charts.token_bars(["a"] * 31, [*[1.0] * 30, 27.4], "score")
    assert late.layout.yaxis.range == pytest.approx((0.0, 1.1))
    assert [(note.x, note.text) for note in late.layout.annotations] == [(30, "+27.4")]
    even = charts.token_bars(["The", " cat"], [-1.0, 2.0], "score")
    assert even.layout.yaxis.range is None
    assert not even.layout.annotations


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([1.0] * 30 + [-9.0], 1.0),
        ([1.0] * 30 + [-2.9], 2.9),  # not far beyond the others
        ([1.0] * 18 + [9.0], 9.0),  # of so few, one may be what there is to see
        ([1.0] * 38 + [9.0, -4.0], 1.0),
        ([1.0] * 30 + [9.0, -4.0], 9.0),  # more than one in 20
        ([1.0] * 96 + [9.0, 8.0, 7.0, 6.0], 9.0),  # more than three
        ([0.0] * 30 + [5.0], 5.0),  # of nothing else there is a scale
        ([np.nan, np.inf, *[1.0] * 30, 9.0], 1.0),
        ([], 0.0),
    ],
)
def test_a_few_values_far_beyond_the_others_set_no_scale(values, end):
    assert charts.scale_end(values) == end


def test_token_bars_are_signed_and_coloured_by_sign():
    figure = charts.token_bars(["The", " cat"], [0.5, -0.25], "score")
    (bar,) = figure.data
    assert list(bar.y) == [0.5, -0.25]
    assert list(bar.marker.color) == [FOR, AGAINST]
    assert figure.layout.xaxis.ticktext == ("The", "␣cat")
    assert figure.layout.yaxis.title.text == "score"


def test_equal_tokens_keep_bars_of_their_own():
    (bar,) = charts.token_bars(["a", "a", "a"], [1.0, 2.0, 3.0], "score").data
    assert list(bar.x) == [0, 1, 2]


def test_agreement_pairs_the_same_neurons():
    a, b = scores(0, query=(3, 8), ffn=(3, 400)), scores(1, query=(3, 8), ffn=(3, 400))
    figure = charts.agreement(a, b, ("first", "second"))
    by_name = {trace.name: trace for trace in figure.data}
    for component in a:
        trace = by_name[COMPONENT_NAMES[component]]
        layer, index = np.asarray(trace.customdata).T
        np.testing.assert_array_equal(trace.x, a[component][layer, index])
        np.testing.assert_array_equal(trace.y, b[component][layer, index])
        assert len(trace.x) == min(500, a[component].size)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("first", "second")


def test_agreement_leaves_out_what_cannot_be_compared():
    a, b = scores(0, query=(3, 8), ffn=(3, 9)), scores(1, query=(2, 8), key=(3, 4))
    assert not charts.agreement(a, b, ("first", "second")).data


@pytest.mark.parametrize(
    "figure",
    [
        charts.predictions(choices([MARKUP, "other"], [0.6, 0.4]), 1),
        charts.predictions(choices([MARKUP], [0.6]), 0, choices([MARKUP], [0.5])),
        charts.token_bars([MARKUP, "other"], [1.0, 2.0], "score"),
        charts.agreement(scores(ffn=(2, 3)), scores(ffn=(2, 3)), (MARKUP, MARKUP)),
    ],
    ids=["predictions", "intervention", "token_bars", "agreement"],
)
def test_a_token_with_markup_is_shown_as_text(figure):
    assert not [text for text in shown_texts(figure) if MARKUP in text]
    assert [text for text in shown_texts(figure) if "&lt;b&gt;x&lt;/b&gt;" in text]


def test_a_line_break_in_a_token_does_not_break_the_label():
    figure = charts.predictions(choices(["a\nb", "<br>"], [0.6, 0.4]), 0)
    assert not [t for t in shown_texts(figure) if "\n" in t or "<br>" in t]


@pytest.mark.parametrize(
    ("rows", "columns", "written"), [(6, 6, True), (1, 30, False), (9, 9, False)]
)
def test_numbers_are_written_where_they_have_room(rows, columns, written):
    values = pd.DataFrame(np.arange(rows * columns).reshape(rows, columns))
    (heatmap,) = charts.matrix(values, "score").data
    assert (heatmap.texttemplate == "%{z:.2f}") == written
    assert heatmap.z.tolist() == values.to_numpy().tolist()


def test_only_a_signed_matrix_diverges():
    values = pd.DataFrame([[1.0, 2.0]])
    assert charts.matrix(values, "x", signed=True).data[0].autocolorscale is True
    assert charts.matrix(values, "x").data[0].autocolorscale is None
