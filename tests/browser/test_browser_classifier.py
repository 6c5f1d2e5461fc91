"""A protein classifier's neurons in a browser: choose, run, move the slider, colour a protein."""


def test_choose_run_move_the_slider_and_colour_a_protein(tab):
    one = tab().open("enzymes")
    one.page.get_by_text("What needs no protein model").wait_for()
    one.idle().healthy()
    one.look("Submodels")
    one.idle()
    one.press("ESM-2 8M, hemolytic peptides")  # offered, since SmolLM2 is no protein classifier
    one.page.get_by_text("Where the kept neurons are").wait_for()
    one.idle().healthy()
    first = one.query("run")
    result = one.server.result(first)
    assert f"judged on {result.numbers['tested']} test proteins" in one.text()
    slider = one.field("sub_fraction")
    before = slider.inner_text()
    slider.get_by_role("slider").press("ArrowRight")
    one.idle().healthy()
    assert slider.inner_text() != before
    assert one.query("run") == first  # nothing was computed again
    assert one.overflowing() == []
    one.look("One protein")
    one.page.get_by_text("Each residue is coloured").wait_for()
    one.idle().healthy()
    assert one.field("chart_residues").locator(".main-svg").count()
