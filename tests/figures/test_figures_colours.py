"""Colours of lines and bars are seen on a white page and on a dark one."""

import tomllib
from pathlib import Path

import pytest

from neuronlab.attribution import METHODS
from neuronlab.figures.colours import (
    COMPONENT_COLOURS,
    DIVERGING,
    DIVERGING_DARK,
    GROUND,
    MANY_COLOURS,
    MANY_MARKS,
    line_of,
)

ROOT = Path(__file__).parents[2]
GROUNDS = [page for page, _ in GROUND.values()]


def luminance(colour):
    """Relative luminance as WCAG 2 has it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [*MANY_COLOURS, *COMPONENT_COLOURS.values()])
@pytest.mark.parametrize("ground", GROUNDS)
def test_a_colour_stands_out_from_the_page(colour, ground):
    light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 2


def test_no_two_are_the_same():
    assert len(set(MANY_COLOURS)) == len(MANY_COLOURS)
    assert len(set(MANY_MARKS)) == len(MANY_MARKS)


def test_no_two_methods_are_drawn_alike_in_colour_or_mark():
    lines = [line_of(method) for method in METHODS if not method.startswith("toy")]
    assert len({line.colour for line in lines}) == len({line.mark for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("theme", "scale"), [("light", DIVERGING), ("dark", DIVERGING_DARK)], ids=["light", "dark"]
)
def test_zero_has_no_tint(theme, scale):
    """Between the middle two of the theme's ten colours, it is nearly the middle one of ours."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    colours = config[theme]["chartDivergingColors"]
    assert len(colours) == 10
    assert (colours[0], colours[-1]) == (scale[0], scale[-1])
    for i in (1, 3, 5):
        zero = sum(int(colour[i : i + 2], 16) for colour in colours[4:6]) / 2
        assert zero == pytest.approx(int(scale[2][i : i + 2], 16), abs=6)


def test_frames_stand_on_the_ground_of_the_app():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    for dark, name in ((False, "light"), (True, "dark")):
        assert GROUND[dark] == (theme[name]["backgroundColor"], theme[name]["textColor"])
