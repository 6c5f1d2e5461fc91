"""A classifier's neurons in a browser: submodels, and one protein."""

import pytest


@pytest.fixture
def classifier(tab):
    one = tab().open("classifier")
    one.pick("model", "ESM-2 8M, hemolytic")
    one.look("Submodels")
    return one.finished()


@pytest.mark.slow
def test_submodels_follow_the_slider_and_a_protein_is_coloured(classifier):
    one = classifier
    assert "of the neurons kept" in one.text()
    shares = one.result().tables["shares"]
    one.look("Layers")
    slider = one.field("sub_fraction_")
    slider.get_by_role("slider").press("ArrowRight")
    one.idle().healthy()
    assert f"{100 * sorted(shares['fraction'].unique())[-1]:g}%" in slider.inner_text()
    assert one.overflowing() == []
    one.look("One protein")
    one.page.get_by_text("Each residue is coloured").wait_for()
    one.idle().healthy()
    residues = one.page.locator(".st-key-strip_residues .line")
    residues.wait_for()
    before = residues.inner_html()
    one.pick("one_method", "Gradient x activation")
    one.wait_until(lambda: residues.inner_html() != before)
    one.healthy()
