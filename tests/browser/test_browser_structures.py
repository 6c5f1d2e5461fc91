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
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 29)"}[scheme]
    one.idle().healthy()
    one.page.set_viewport_size({"width": 390, "height": 844})
    assert one.idle().overflowing() == []


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_residue_is_the_same_in_all_figures_of_a_protein(tab):
    one = tab().open("classifier")
    one.look("One protein")
    one.page.get_by_text("Each residue is coloured").wait_for()
    one.idle()
    chips = one.page.locator(".st-key-strip_residues button")
    label = one.listening()
    chips.nth(30).hover()
    one.wait_until(lambda: label.locator("body").evaluate("told.at(-1)") == {"residues": [31]})
    label.locator("body").evaluate("parent.postMessage({residues: [40], chosen: false}, '*')")
    one.wait_until(lambda: "marked" in chips.nth(39).get_attribute("class"))
    assert "marked" not in chips.nth(30).get_attribute("class")
    label.locator("body").evaluate("parent.postMessage({residues: ['<b>'], chosen: true}, '*')")
    label.locator("body").evaluate("parent.postMessage({residues: [], chosen: false}, '*')")
    marked = one.page.locator(".st-key-strip_residues .marked")
    one.wait_until(lambda: marked.count() == 0)
    # A pointer in the view itself, on a residue or on one in front of it.
    view = one.page.locator("iframe").first
    view.scroll_into_view_if_needed()
    box = view.bounding_box()
    spot = label.locator("body").evaluate(
        """() => {
          const [atom] = viewer_structure.selectedAtoms({atom: "CA", resi: 100});
          return viewer_structure.modelToScreen(atom);
        }"""
    )
    for nearer in (3, 0):
        one.page.mouse.move(box["x"] + spot["x"] - nearer, box["y"] + spot["y"] - nearer)
        one.page.wait_for_timeout(300)
    one.wait_until(lambda: marked.count() == 1)
    one.page.mouse.move(0, 0)
    # A pair of the map: its row is chosen, as by a click on it in the sequence.
    canvas = one.page.locator(".st-key-contacts_contacts canvas")
    canvas.scroll_into_view_if_needed()
    start, top, side = (float(canvas.get_attribute(f"data-{n}")) for n in ("start", "top", "side"))
    count = chips.count()
    cell = side / count
    place = {"x": start + 9.5 * cell, "y": top + 19.5 * cell}
    canvas.hover(position=place)
    one.page.get_by_text("% likely in contact").first.wait_for()
    classes = [chips.nth(at).get_attribute("class") or "" for at in range(count)]
    assert [at for at in range(count) if "marked" in classes[at]] == [9, 19]
    canvas.click(position=place)
    one.page.get_by_text("What contributes most at").wait_for()
    one.idle().healthy()
    assert chips.nth(19).get_attribute("aria-pressed") == "true"
    assert f"{chips.nth(19).locator('b').inner_text()}20: score" in one.text()
    # The pair stays marked, and a neuron that acts there has its card.
    one.page.mouse.move(0, 0)
    one.wait_until(lambda: marked.count() == 2)
    assert "marked" in chips.nth(9).get_attribute("class")
    neuron = one.page.locator(".st-key-neuron_there button").first
    layer, component, index = neuron.inner_text().split(".")
    neuron.click()
    one.page.get_by_text(f"Neuron {layer} / {component.capitalize()} / {index}").wait_for()
    one.idle()
    # By the keys alone: Enter on what is chosen lets it go, whichever figure it is in.
    canvas.press("Enter")
    one.page.get_by_text("What contributes most at").wait_for(state="detached")
    one.idle()
    chips.nth(4).press("Enter")
    one.page.get_by_text("What contributes most at").wait_for()
    one.idle().healthy()
    assert chips.nth(4).get_attribute("aria-pressed") == "true"
