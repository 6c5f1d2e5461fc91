"""Labels in a browser: cells, search."""

from neuronlab.figures.labels import concept_map, concept_table
from neuronlab.figures.maps import Grid


def test_labels_are_browsed_by_cell_and_searched(tab):
    one = tab().open("labels")
    one.pick("model", "AntiBERTy")
    one.finished()
    labels = one.result().tables["labels"]
    rows = labels[labels["label"] != ""]
    assert f"{len(rows):,} of {len(labels):,}" in one.text()
    cells = concept_table(rows, "group", 20)
    grid = Grid(concept_map(rows, "group", 20), cells)
    index = int(cells["neurons"].to_numpy().argmax())
    one.click_cell("concepts_group", grid, index)
    chosen = cells.iloc[index]
    one.page.get_by_text("show all again").wait_for()
    one.idle().healthy()
    of_cell = (rows["layer"] == chosen["layer"]) & (rows["group"] == chosen["concept"])
    listed = rows[of_cell & ~(rows["correlation"] < 0)]
    assert f"{len(listed):,} neurons" in one.text()
    one.page.get_by_text("show all again").click()
    one.idle()
    search = one.field("label_query").locator("input")
    search.fill("kappa")
    search.press("Enter")
    one.idle().healthy()
    expected = rows[rows["label"].str.contains("kappa") & ~(rows["correlation"] < 0)]
    assert f"{len(expected):,} neurons" in one.text()
    assert one.overflowing() == []
