"""Steering in a browser: the structures are drawn."""


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
