"""The page of backup neurons."""

import pytest

from neuronlab.runs import Store
from neuronlab.studies.degenerate_pairs import published


@pytest.fixture
def page(visit, results):
    return visit("backup")


def stored(app, results):
    return Store(results).load(app.query("run"))[1]


def test_it_opens_on_a_finished_example(page, results):
    assert page.errors() == []
    numbers = stored(page, results).numbers
    assert page.says(f"keeps **{len(numbers['pairs'])} of 190 pairs**")
    assert page.says(f"{numbers['random_pairs']['mean']:.1f} ±")
    assert len(page.at.dataframe(key="pairs").value) == len(numbers["pairs"])


def test_thresholds_are_live(page, results):
    result = stored(page, results)
    table, p0 = result.tables["all_pairs"], result.numbers["p0"]
    key = page.query("run")
    for low, high in ((0.5, 0.05), (0.3, 0.3), (0.0, 0.9)):
        page.at.slider(key="t_low").set_value(low)
        page.at.slider(key="t_high").set_value(high)
        page.run()
        assert page.errors() == []
        kept = published(table, p0, low, high)
        assert page.says(f"keeps **{len(kept)} of 190 pairs**")
        assert page.says("No pair at these thresholds") == kept.empty
    page.at.slider(key="t_low").set_value(0.5)
    page.at.slider(key="t_high").set_value(0.05)
    page.at.slider(key="synergy").set_value(0.95)
    page.run()
    kept = published(table, p0, 0.5, 0.05)
    kept = kept[kept["synergy"] <= 0.95]
    if len(kept):
        assert len(page.at.dataframe(key="pairs").value) == len(kept)
        page.press("add_pairs")
        assert not page.basket().startswith("Basket: 0 ")
    assert page.query("run") == key


def test_another_prompt(page, results):
    page.at.slider(key="pair_candidates").set_value(6)
    page.prompt("The opposite of hot is")
    page.press("run")
    assert page.errors() == []
    result = stored(page, results)
    assert result.numbers["target_label"] == " cold"
    assert len(result.tables["all_pairs"]) == 15


def test_an_empty_prompt_gets_one_sentence(page):
    page.prompt("")
    page.one_error("The prompt is empty")
    assert page.at.button(key="run").disabled
