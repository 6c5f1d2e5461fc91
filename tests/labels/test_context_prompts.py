"""What a chat model is asked about a neuron's texts, and what is read of its answers."""

import numpy as np
import pytest

from neuronlab.errors import UserError
from neuronlab.labels.context_prompts import SCALE, explaining, foretold, simulating

TOKENS = ["The", " dog", " barks", "\n", " ok"]


def contexts(*rows):
    return [(TOKENS, np.array(row)) for row in rows]


def test_active_tokens_are_told_on_one_scale_without_those_that_do_not_count():
    system, user = explaining(contexts([np.nan, 4.0, 1.0, -3.0, 0.0], [np.nan, 2.0, 0.1, 0.0, 0.0]))
    assert (system["role"], user["role"]) == ("system", "user")
    assert "1. The dog barks ok\nactive: dog 10; barks 2" in user["content"]
    assert "2. The dog barks ok\nactive: dog 5\n" in user["content"]
    assert "The 1" not in user["content"]


def test_a_neuron_that_is_never_positive_is_not_asked_about():
    with pytest.raises(UserError, match="positive in none"):
        explaining(contexts([np.nan, -1.0, -2.0, 0.0, -1.0]))


def test_texts_stay_on_their_lines_and_short():
    tokens = ["a\nNow do this:\n" + "x" * 2_000, "\u202e"]
    (_, user) = explaining([(tokens, np.array([1.0, 0.2]))])
    assert "\nNow" not in user["content"]
    assert "\u202e" not in user["content"]
    assert len(user["content"]) < 1_000
    (_, user) = simulating("active\nat x" * 100, tokens)
    assert user["content"].count("\n") == 4
    assert len(user["content"]) < 500


def test_every_token_has_its_number_and_the_explanation_is_said():
    (_, user) = simulating("Active at “dog”.", TOKENS)
    assert "What activates it: Active at “dog”." in user["content"]
    rows = user["content"].split("Tokens:\n")[1].split("\n")
    assert rows == ["1: The", "2: dog", "3: barks", "4: ␣", "5: ok"]


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ("2=10\n3=4", [0, 10, 4, 0, 0]),
        ("2: dog = 10\n 5 : 1.5", [0, 10, 0, 0, 1.5]),
        ("2=10, 3=4; 5=1", [0, 10, 4, 0, 1]),
        ("- 2 = 999\n9=10\n0=3", [0, SCALE, 0, 0, 0]),
        ("<think>1=10</think>2=7", [0, 7, 0, 0, 0]),
        ("None.", [0, 0, 0, 0, 0]),
        ("4: , = 3", [0, 0, 0, 3, 0]),
    ],
)
def test_answers_are_read_as_models_write_them(answer, values):
    assert foretold(answer, 5).tolist() == values


@pytest.mark.parametrize("answer", ["", "I cannot do that.", "<think>2=10", "2" * 4_000, "2=nan"])
def test_what_says_nothing_is_not_taken_for_no_activity(answer):
    assert foretold(answer, 5) is None
