"""One fact in many languages in a browser: shared neurons, and edits."""

import pytest


@pytest.fixture
def languages(tab):
    one = tab().open("languages").finished()
    # It opens on a model that knows several, which tests cannot fetch.
    one.pick("model", "SmolLM2")
    one.page.get_by_text("is not on this machine").wait_for(state="detached")
    return one.finished()


@pytest.mark.slow  # with others, to keep `make test` short
def test_shared_neurons_go_into_the_basket_and_edits_are_one_click_away(languages):
    one = languages
    one.field("shared").wait_for()
    one.page.get_by_role("button", name="Add the first").first.click()
    one.idle().healthy()
    assert "Basket: 0 " not in one.page.locator('[data-testid="stSidebar"]').inner_text()
    one.look("Edit in one, measure in all")
    one.page.get_by_text("Higher is more specific").wait_for()
    one.idle().healthy()
    table = one.result().tables["matrix"].set_index(["edit", "change", "about", "language"])
    row = table.loc[("language-independent", "suppress", "fact", "fr")]
    assert f"{row['relative']:+.0%} in French" in one.text()
    one.look("Enhanced (× 2)")
    one.idle().healthy()
    row = table.loc[("language-independent", "enhance", "fact", "fr")]
    assert f"{row['relative']:+.0%} in French" in one.text()
