"""Steering in a browser: the structures are drawn."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_steered_protein_is_drawn_in_three_dimensions(tab):
    one = tab().open("steering")
    one.pick("model", "AntiBERTy")
    one.finished()
    numbers = one.result().numbers
    assert f"{numbers['steered']['mean']:+.3g}" in one.text()
    assert set(one.result().files) == {"start.pdb", "unsteered.pdb", "steered.pdb"}
    frame = one.page.locator("iframe").first
    frame.scroll_into_view_if_needed()
    view = frame.content_frame.locator("iframe")
    canvas = view.content_frame.locator("canvas").first
    canvas.wait_for()
    pictures = canvas.evaluate("c => [c.width, c.height]")
    assert min(pictures) > 100
    # The view's scripts are no scripts of the app.
    assert canvas.evaluate("() => window.origin") == "null"
    one.look("confidence")
    one.idle().healthy()
    assert one.overflowing() == []
    # On a phone one structure at a time fits the page, and so does the legend.
    one.page.set_viewport_size({"width": 390, "height": 844})
    one.idle()
    frame.scroll_into_view_if_needed()
    legend = view.content_frame.locator(".legend")
    one.wait_until(lambda: whole(view))
    view.content_frame.get_by_label("start").check()
    one.wait_until(lambda: whole(view))
    high = view.evaluate("e => e.clientHeight")
    assert legend.evaluate("e => e.getBoundingClientRect().bottom") <= high


@pytest.mark.slow  # with others, to keep `make test` short
def test_structures_fit_a_phone_that_sees_them_late(tab):
    """Out of sight, they are drawn on nothing first, and on another canvas once they are seen."""
    one = tab(390).open("steering")
    one.page.get_by_role("heading", name="Structures", exact=True).wait_for()
    one.idle()
    frame = one.page.locator("iframe").first
    frame.scroll_into_view_if_needed()
    one.wait_until(lambda: whole(frame.content_frame.locator("iframe")))
    one.healthy()


def whole(view):
    """Whether a structure is drawn between what stands above and below it, and not cut there."""
    page = view.content_frame
    top = page.locator(".heads").evaluate("e => e.getBoundingClientRect().bottom")
    bottom = page.locator(".legend").evaluate("e => e.getBoundingClientRect().top")
    drawn = np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB"), int)
    inked = (np.abs(drawn - drawn[-1, -1]) > 30).any(2)[int(top) + 1 : int(bottom) - 1].any(0)
    return not inked[[0, -1]].any() and inked.sum() > 100


@pytest.mark.slow
def test_a_view_stays_turned_when_its_colours_change(tab):
    one = tab().open("steering")
    one.pick("model", "AntiBERTy")
    one.finished()
    frame = one.page.locator("iframe").first
    frame.content_frame.locator("iframe").content_frame.locator("canvas").first.wait_for()
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    views = "() => Object.values(window.neuronlabViews ?? {})[0]"
    turned = None
    for _ in range(50):  # drawn, it does not tell that it can be dragged
        if turned:
            break
        one.page.mouse.move(box["x"] + 150, box["y"] + 250)
        one.page.mouse.down()
        one.page.mouse.move(box["x"] + 260, box["y"] + 300, steps=5)
        one.page.mouse.up()
        one.page.wait_for_timeout(200)
        turned = one.page.evaluate(views)
    assert len(turned) == 3
    assert turned[0][4:] != [0, 0, 0, 1]
    one.page.evaluate(f"() => {{ ({views})().before = true; }}")
    one.look("confidence")
    one.page.wait_for_function(f"() => !({views})().before")
    again = one.page.evaluate(views)
    assert again == [pytest.approx(view, abs=1e-3) for view in turned]
    one.healthy()


def test_a_residue_is_the_same_in_sequence_track_and_structures(tab):
    one = tab().open("steering")
    one.pick("model", "AntiBERTy")
    one.finished()
    chips = one.page.locator(".st-key-strip_steered button")
    marked = one.page.locator(".st-key-strip_steered .marked")
    lines = one.page.locator(".st-key-along_secondary .tracks div")
    view = one.listening()
    chips.nth(52).hover()
    one.wait_until(lambda: view.locator("body").evaluate("told.at(-1)") == {"residues": [53]})
    one.wait_until(lambda: lines.count() == 1)
    one.page.mouse.move(0, 0)
    one.wait_until(lambda: lines.count() == 0)
    chart = one.page.locator(".st-key-chart_secondary .js-plotly-plot")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    at = chart.evaluate("c => c._fullLayout._size.l + c._fullLayout.xaxis.d2p(40)")
    one.page.mouse.move(box["x"] + at, box["y"] + box["height"] / 2)
    one.wait_until(lambda: marked.count() == 1)
    assert "marked" in chips.nth(39).get_attribute("class")
    view.locator("body").evaluate("parent.postMessage({residues: [7], chosen: false}, '*')")
    one.wait_until(lambda: "marked" in chips.nth(6).get_attribute("class"))
    one.healthy()
