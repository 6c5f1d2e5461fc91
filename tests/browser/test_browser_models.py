"""A model of one's own, typed into the sidebar of the real app."""

from tiny_gguf import FFN, LAYERS, write


def test_a_gguf_file_opens_from_the_model_box(tab, tmp_path):
    path = tmp_path / "tiny.gguf"
    write(path)
    one = tab().open("models")
    box = one.field("model").locator("input")
    box.fill(str(path))
    box.press("Enter")
    one.page.get_by_text("what quantisation has left").wait_for()
    one.idle().healthy()
    pages = one.page.get_by_test_id("stSidebarNav")
    pages.get_by_text("Which neurons made it say that?", exact=True).click()
    one.results().healthy()  # of its first example
    assert one.server.spec(one.query("run"))["model"] == str(path)
    assert one.result().arrays["ffn"].shape == (LAYERS, FFN)
