"""A model of one's own, typed into the sidebar of the real app."""

import pytest
from tiny_gguf import FFN, LAYERS, write


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_gguf_file_opens_from_the_model_box(tab, tmp_path):
    path = tmp_path / "tiny.gguf"
    write(path)
    one = tab().open("models")
    box = one.field("model").locator("input")
    box.fill(str(path))
    box.press("Enter")
    one.page.get_by_text("a GGUF file of this machine").wait_for()
    one.idle().healthy()
    pages = one.page.get_by_test_id("stSidebarNav")
    pages.get_by_text("Which neurons made it say that?", exact=True).click()
    one.results().healthy()  # of its first example
    one.page.get_by_text("weights are rounded to bfloat16").wait_for()
    assert one.server.spec(one.query("run"))["model"] == str(path)
    assert one.result().arrays["ffn"].shape == (LAYERS, FFN)


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_name_that_holds_the_chosen_one_is_taken_as_it_is_written(tab):
    one = tab().open("models")
    box = one.field("model").locator("input")

    def chosen(write):
        box.fill("gpt2")
        box.press("Enter")
        one.idle()
        write()
        box.press("Enter")
        one.idle()
        return box.input_value()

    def replaced():
        box.press("Control+A")
        box.press_sequentially("gpt2-medium")

    def in_the_middle():
        box.press("End")
        box.press("Shift+ArrowLeft")
        one.page.keyboard.insert_text("2-medium")  # as by pasting

    assert chosen(replaced) == "gpt2-medium"
    assert chosen(in_the_middle) == "gpt2-medium"
    # On another page, of another box.
    one = tab().open("attribution").results()
    box = one.field("target").locator("input")
    for answer in ("Lon", "London"):
        box.press("Control+A")
        box.press_sequentially(answer)
        box.press("Enter")
        one.idle()
        assert box.input_value() == answer
    one.healthy()
