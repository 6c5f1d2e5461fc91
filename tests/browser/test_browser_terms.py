"""The glossary's words on the page: marked where they first stand, explained under the pointer."""

import pytest

from neuronlab.widgets.page import GLOSSARY

# Each marked word with the place of its middle.
MARKED = """() => [...CSS.highlights.get("neuronlab-terms")].map((range) => {
  const box = range.getBoundingClientRect();
  return [range.toString(), box.x + box.width / 2, box.y + box.height / 2];
})"""


def test_a_word_is_explained_under_the_pointer_and_not_beside_it(tab):
    one = tab().open("degenerate")
    one.idle()
    one.page.wait_for_function("() => CSS.highlights.get('neuronlab-terms')?.size")
    marked = one.page.evaluate(MARKED)
    names = [word.lower().removesuffix("s") for word, *_ in marked]
    assert len(names) == len(set(names))  # each once
    assert set(names) <= {term.lower().removesuffix("s") for term in GLOSSARY}
    before = one.page.locator('[data-testid="stMain"]').inner_text()
    _, x, y = next(each for each in marked if each[0].lower().startswith("neuron"))
    one.page.mouse.move(x, y)
    tip = one.page.get_by_role("tooltip")
    tip.wait_for()
    assert tip.inner_text() == f"Neuron. {GLOSSARY['Neuron']}"
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280
    one.page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    one.page.mouse.move(x, y + 1)
    tip.wait_for()
    one.page.mouse.move(2, 890)
    tip.wait_for(state="hidden")
    # The page's own text is as it was.
    assert one.page.locator('[data-testid="stMain"]').inner_text() == before
    one.healthy()


@pytest.mark.slow  # with others, to keep `make test` short
def test_words_are_reached_by_keys(tab):
    one = tab().open("degenerate")
    one.idle()
    one.page.wait_for_function("() => CSS.highlights.get('neuronlab-terms')?.size")
    words = [word.lower().removesuffix("s") for word, *_ in one.page.evaluate(MARKED)]
    keys = one.page.locator(".st-key-terms button")
    keys.focus()
    tip = one.page.get_by_role("tooltip")
    for word in (words[0], words[1]):
        tip.wait_for()
        one.wait_until(lambda word=word: tip.inner_text().lower().startswith(f"{word}"))
        assert keys.inner_text().lower().startswith(f"{word}")
        one.page.keyboard.press("ArrowDown")
    one.page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    one.healthy()
