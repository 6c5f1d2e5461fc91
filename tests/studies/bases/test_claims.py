"""A claim is judged as the study judges its own facts, and bad claims are refused in words."""

import pytest

from neuronlab.attribution import attribute
from neuronlab.errors import UserError
from neuronlab.models import Prompt
from neuronlab.neurons import NeuronSet, predict
from neuronlab.studies.bases.claims import MOST, check

pytestmark = pytest.mark.fetched
TEXT = "The capital of Japan is"


@pytest.mark.slow
def test_scores_are_means_over_the_neurons_and_probability_is_the_models(smollm):
    sets = {
        "a": NeuronSet([(29, "ffn", 1426), (0, "ffn", 2)]),
        "b": NeuronSet([(20, "ffn", 0)]),
    }
    table = check(smollm, f"{TEXT} ", ["Tokyo", " Paris", "Tokyo", ""], sets)
    assert table["candidate"].tolist() == ["Tokyo", "Paris"]
    assert table["whole"].all()
    for row in table.itertuples():
        prompt = Prompt(TEXT, target=f" {row.candidate}")
        scores = attribute(smollm, prompt, method="amig", components=("ffn",))["ffn"]
        assert row.a == pytest.approx((scores[29, 1426] + scores[0, 2]) / 2, rel=1e-5)
        assert row.b == pytest.approx(scores[20, 0], rel=1e-5)
        assert row.probability == pytest.approx(predict(smollm, prompt).probability, rel=1e-5)


@pytest.mark.parametrize("count", [0, 1, MOST + 1])
def test_too_few_and_too_many_candidates_are_refused(smollm, count):
    with pytest.raises(UserError, match="two to"):
        check(smollm, TEXT, [f"word{i}" for i in range(count)], {})


def test_candidates_that_begin_alike_are_not_told_apart(smollm):
    with pytest.raises(UserError, match="begins as"):
        check(smollm, TEXT, ["Paris", "Paris again"], {})
