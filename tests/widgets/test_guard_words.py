"""Words that pages put results in."""

import pytest

from neuronlab.widgets.guard import enumerated


@pytest.mark.parametrize(
    ("names", "sentence"),
    [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_names_are_put_in_a_sentence(names, sentence):
    assert enumerated(names) == sentence
