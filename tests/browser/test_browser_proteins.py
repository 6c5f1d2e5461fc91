"""Protein pages in a browser: a classifier's neurons, labels, steering and structures."""

import pytest

from neuronlab.figures.labels import concept_map, concept_table
from neuronlab.figures.maps import Grid


def result(one):
    return one.server.result(one.query("run"))


def finished(one):
    one.page.get_by_text("Copy as command").wait_for()
    return one.idle().healthy()


@pytest.fixture
def classifier(tab):
    one = tab().open("classifier")
    one.pick("model", "ESM-2 8M, hemolytic")
    one.look("Submodels")
    return finished(one)


def test_submodels_follow_the_slider_and_a_protein_is_coloured(classifier):
    one = classifier
    assert "of the neurons kept" in one.text()
    shares = result(one).tables["shares"]
    slider = one.field("sub_fraction_")
    slider.get_by_role("slider").press("ArrowRight")
    one.idle().healthy()
    assert f"{100 * sorted(shares['fraction'].unique())[-1]:g}%" in slider.inner_text()
    assert one.overflowing() == []
    one.look("One protein")
    one.page.get_by_text("Each residue is coloured").wait_for()
    one.idle().healthy()
    residues = one.page.locator('[class*="st-key-chart_residues"] .plotly').first
    residues.wait_for()
    before = residues.inner_html()
    one.pick("one_method", "Gradient x activation")
    one.wait_until(lambda: residues.inner_html() != before)
    one.healthy()


def test_labels_are_browsed_by_cell_and_searched(tab):
    one = tab().open("labels")
    one.pick("model", "AntiBERTy")
    finished(one)
    labels = result(one).tables["labels"]
    rows = labels[labels["label"] != ""]
    assert f"{len(rows):,} of {len(labels):,}" in one.text()
    cells = concept_table(rows, "group", 20)
    grid = Grid(concept_map(rows, "group", 20), cells)
    index = int(cells["neurons"].to_numpy().argmax())
    one.click_cell("concepts_group", grid, index)
    chosen = cells.iloc[index]
    one.page.get_by_text("show all again").wait_for()
    one.idle().healthy()
    assert f"{int(chosen['neurons']):,} neurons" in one.text()
    one.page.get_by_text("show all again").click()
    one.idle()
    search = one.field("label_query").locator("input")
    search.fill("kappa")
    search.press("Enter")
    one.idle().healthy()
    expected = rows[rows["label"].str.contains("kappa") & ~(rows["correlation"] < 0)]
    assert f"{len(expected):,} neurons" in one.text()
    assert one.overflowing() == []


def test_a_steered_protein_is_drawn_in_three_dimensions(tab):
    one = tab().open("steering")
    one.pick("model", "AntiBERTy")
    finished(one)
    numbers = result(one).numbers
    assert f"{numbers['steered']['mean']:+.3g}" in one.text()
    assert set(result(one).files) == {"start.pdb", "unsteered.pdb", "steered.pdb"}
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
