"""A lesson as people take it: read, guess, see."""

import pytest


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_a_lesson_asks_before_it_shows(tab, width):
    one = tab(width=width).open("learn")
    one.page.locator(".st-key-lesson_proof button").click()
    one.page.get_by_text("Step 1 of 3").wait_for()
    one.idle()
    assert "lesson=proof" in one.page.url
    bars = one.page.locator(".st-key-bars_learn_best [role=listitem]")
    assert bars.count() == 0
    one.page.get_by_text("Nearly all of it goes").click()
    one.idle()
    one.press("That is my guess: show it")
    one.page.get_by_text("and so it is").wait_for()
    bars.first.wait_for()
    assert one.overflowing() == []
    assert one.idle().barriers() == []
    one.press("Next")
    one.page.get_by_text("Step 2 of 3").wait_for()
    other = tab(width=width).open(one.page.url)  # a step is a link
    other.page.get_by_text("Step 2 of 3").wait_for()
    one.press("Back")
    one.page.get_by_text("Step 1 of 3").wait_for()
    one.page.go_back()  # the browser's: steps are entries of its history
    one.page.get_by_text("Step 2 of 3").wait_for()
    one.page.go_forward()
    one.page.get_by_text("Step 1 of 3").wait_for()
    one.page.reload()  # another session
    one.page.get_by_text("and so it is").wait_for()
    one.page.get_by_text("All lessons").click()
    one.page.get_by_text("1 of 3 answers given").wait_for()
    one.healthy()


def test_the_block_has_the_numbers_of_the_sentence(tab):
    one = tab(reduced_motion="reduce").open("learn?lesson=neuron")
    block = one.page.locator(".nl-block")
    block.wait_for()
    stages = block.locator("li > b").all_inner_texts()
    assert stages == [
        "Tokens", "Embedding", "Query", "Key", "Value", "Attention", "FFN", "Stream", "Next token",
    ]  # fmt: skip
    assert "Paris" in block.locator("li").last.inner_text()
    one.page.wait_for_function("() => CSS.highlights.get('neuronlab-terms')?.size")
    one.idle()
    marked = "[...CSS.highlights.get('neuronlab-terms')].map((range) => range.toString())"
    explained = one.page.evaluate(marked)
    # Everyday words where they are bold; and the figure's labels, whatever stands above it.
    assert {"query", "key", "value", "embedding", "Query", "Key", "Value"} <= set(explained)
    moving = "e => getComputedStyle(e).animationName"
    assert block.locator("li").first.evaluate(moving) == "none"
    one.healthy()


@pytest.mark.slow  # with others, to keep `make test` short
def test_notes_for_the_teacher_are_downloaded(tab, tmp_path):
    one = tab().open("learn?lesson=languages")
    one.page.get_by_text("A few: between one and a hundred").click()
    one.idle()
    one.press("That is my guess: show it")
    one.page.get_by_text("Now you.").wait_for()
    one.idle()
    with one.page.expect_download() as download:
        one.page.get_by_role("button", name="Teacher's notes (to print)").click()
    path = tmp_path / "notes.html"
    download.value.save_as(path)
    assert "A few: between one and a hundred (right)" in path.read_text("utf-8")
    one.healthy()
