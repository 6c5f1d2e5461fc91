"""Proteins people know in a browser: drawn at once, in the wide and on a phone."""

import pytest


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_protein_people_know_is_drawn_in_three_dimensions(tab, scheme):
    one = tab(color_scheme=scheme).open("classifier")
    one.look("One protein")
    one.pick("one_protein", "A protein people know")
    one.pick("one_known", "Lysozyme")
    frame = one.page.locator("iframe").first
    frame.scroll_into_view_if_needed()
    view = frame.content_frame.locator("iframe")
    assert view.get_attribute("title").startswith("3D view of PDB 2VB1 chain A, Lysozyme")
    canvas = view.content_frame.locator("canvas").first
    canvas.wait_for()
    assert min(canvas.evaluate("c => [c.width, c.height]")) > 100
    one.look("secondary structure")
    for kind in ("helix", "strand", "coil"):
        view.content_frame.get_by_text(kind).wait_for()
    ground = view.content_frame.locator("body").evaluate("b => getComputedStyle(b).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 17, 23)"}[scheme]
    one.idle().healthy()
    one.page.set_viewport_size({"width": 390, "height": 844})
    assert one.idle().overflowing() == []
