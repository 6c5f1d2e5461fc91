"""Steering in a browser: the structures are drawn."""

import pytest


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
