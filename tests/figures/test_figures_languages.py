"""Figures of edits across languages: what is drawn is the table, whatever its order."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

from neuronlab.figures.colours import NULL_NAMES
from neuronlab.figures.languages import edit_bars, edit_matrix

EDITS = ["English", "Chinese", "language-independent", "one after the other"]
LANGUAGES = ["English", "Chinese"]
WORDS = {"fact": "the fact itself", "same relation": "another of its relation"}


def table(seed=0, size=0.5, **fixed):
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(list(product(EDITS, LANGUAGES)), columns=["edit", "language"])
    low, middle, high = np.sort(draw.uniform(-size, size, (3, len(rows))), axis=0)
    rows = rows.assign(relative=middle, relative_low=low, relative_high=high)
    random, as_active = draw.uniform(-0.1, 0.1, (2, len(rows)))
    rows = rows.assign(random=random, as_active=as_active)
    return rows.assign(before=draw.uniform(size=len(rows)), after=0.125, **fixed)


def about(words=WORDS):
    parts = [table(i).query("language == 'Chinese'") for i in range(len(words))]
    return pd.concat([part.assign(about=kind) for part, kind in zip(parts, words, strict=True)])


def cells(figure):
    """What stands at each (edit, language): value, text, details."""
    (heat,) = figure.data
    return {
        (edit, language): (heat.z[i][j], heat.text[i][j], heat.customdata[i][j])
        for i, edit in enumerate(heat.y)
        for j, language in enumerate(heat.x)
    }


def test_the_matrix_is_the_table():
    rows = table()
    drawn = cells(edit_matrix(rows))
    assert len(drawn) == len(rows)
    for row in rows.itertuples():
        value, text, details = drawn[row.edit, row.language]
        assert value == row.relative
        for part in (row.relative, row.relative_low, row.relative_high):
            assert f"{part:+.0%}" in text
        assert f"{row.before:.1%} → 12.5%" in details
        assert f"; random neurons {row.random:+.1%}; " in details
        assert f"random neurons, matched in activity {row.as_active:+.1%}" in details


def test_the_rows_may_come_in_any_order():
    rows = table()
    mixed = rows.sample(frac=1, random_state=3)
    assert cells(edit_matrix(mixed)) == cells(edit_matrix(rows))
    (heat,) = edit_matrix(rows).data
    assert (list(heat.y), list(heat.x)) == (EDITS, LANGUAGES)


def test_the_scale_is_even_about_nothing():
    for size in (0.5, 0.0, 1.5):
        rows = table(size=size)
        (heat,) = edit_matrix(rows).data
        assert heat.zmax == -heat.zmin > 0
        assert heat.zmax >= rows["relative"].abs().max()
    # A single explosion does not bleach all the others, and is still written as it is.
    rows = table()
    rows.loc[3, "relative"] = 899.0
    figure = edit_matrix(rows)
    assert figure.data[0].zmax == 2.0
    value, text, _ = cells(figure)[rows.loc[3, "edit"], rows.loc[3, "language"]]
    assert value == 899.0
    assert "+89900%" in text


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_what_is_no_number_leaves_the_others_as_they_are(missing):
    rows = table()
    before = edit_matrix(rows).data[0].zmax
    rows.loc[rows["relative"].abs().idxmin(), "relative"] = missing
    (heat,) = edit_matrix(rows).data
    assert heat.zmax == (before if np.isnan(missing) else 2.0)


def axes(trace):
    """Edits and values, whichever way the bars lie."""
    lying = isinstance(trace.y[0], str)
    return (list(trace.y), list(trace.x)) if lying else (list(trace.x), list(trace.y))


def test_bars_are_the_table():
    rows = about()
    *bars, _, _ = edit_bars(rows, WORDS).data
    assert [bar.name for bar in bars] == list(WORDS.values())
    for bar, kind in zip(bars, WORDS, strict=True):
        of_kind = rows[rows["about"] == kind]
        edits, values = axes(bar)
        assert edits == EDITS
        assert values == of_kind["relative"].tolist()
        assert bar.orientation == ("h" if edits == list(bar.y) else None)
        error = bar.error_x if bar.orientation == "h" else bar.error_y
        assert error.symmetric is False
        np.testing.assert_allclose(values + error.array, of_kind["relative_high"])
        np.testing.assert_allclose(values - error.arrayminus, of_kind["relative_low"])
    looks = [(bar.marker.color, bar.marker.pattern.shape) for bar in bars]
    assert len(set(looks)) == len(bars)


def test_random_neurons_are_marks_for_the_first_kind_of_facts():
    rows = about()
    first = rows[rows["about"] == "fact"]
    *_, random, as_active = edit_bars(rows, WORDS).data
    for marks, null in ((random, "random"), (as_active, "as_active")):
        assert marks.mode == "markers"
        assert marks.name == NULL_NAMES[null]
        assert axes(marks) == (EDITS, first[null].tolist())
    assert random.marker.symbol != as_active.marker.symbol


def test_only_the_kinds_of_facts_that_are_asked_for_are_drawn():
    rows = pd.concat([about(), about({"other relation": ""})])
    assert len(edit_bars(rows, WORDS).data) == 4
    (bar, *_) = edit_bars(rows, {"other relation": "unrelated"}).data
    assert bar.name == "unrelated"
    unrelated = rows[rows["about"] == "other relation"]
    assert axes(bar) == (EDITS, unrelated["relative"].tolist())


def test_figures_go_through_json():
    rows = table()
    rows.loc[0, "relative"] = np.nan
    for figure in (edit_matrix(rows), edit_bars(about(), WORDS)):
        read = json.loads(figure.to_json())
        assert len(read["data"]) == len(figure.data)
