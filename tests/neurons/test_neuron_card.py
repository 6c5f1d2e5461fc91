"""What a neuron promotes and suppresses, on tiny models."""

import pytest
import torch

from neuronlab.models import Prompt
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons import Neuron, neuron_card


def test_of_a_protein_model_amino_acids_alone(residues_model):
    neuron = Neuron(1, "ffn", 5)
    card = neuron_card(residues_model, Prompt("LAGVSERT", mask=3), neuron, count=40)
    for table, best_first in ((card.promotes, False), (card.suppresses, True)):
        assert sorted(text.strip() for text in table["token"]) == sorted(AMINO_ACIDS)
        assert table["effect"].is_monotonic_increasing == best_first
    # They are the same numbers from both ends, and some are not nothing.
    assert card.promotes["effect"][::-1].tolist() == pytest.approx(card.suppresses["effect"])
    assert card.promotes["effect"].abs().max() > 1e-4


def test_of_a_text_model_the_strongest_of_all_tokens(tiny):
    model = tiny("llama")
    prompt, neuron = Prompt("the capital of France is"), Neuron(1, "ffn", 5)
    every = neuron_card(model, prompt, neuron, count=model.vocabulary)
    assert len(every.promotes) == model.vocabulary
    few = neuron_card(model, prompt, neuron, count=3)
    assert few.promotes["effect"].tolist() == every.promotes["effect"][:3].tolist()
    assert few.suppresses["effect"].tolist() == every.suppresses["effect"][:3].tolist()
    assert torch.tensor(few.suppresses["effect"]).max() < few.promotes["effect"].min()


@pytest.mark.parametrize(
    ("neuron", "place"),
    [
        (Neuron(1, "query", 13), "head 1, dimension 5"),
        (Neuron(1, "ffn", 16), "expert 1, unit 4"),
        (Neuron(1, "ffn", 47), "expert 3, unit 11"),
        (Neuron(1, "ffn", 50), "shared expert, unit 2"),
    ],
)
def test_of_which_head_or_expert_a_neuron_is(tiny, neuron, place):
    model = tiny("qwen2_moe", "causal")
    card = neuron_card(model, Prompt("the capital of France is"), neuron)
    assert card.place == place
    mlp = model.block(1).mlp
    if card.expert is not None:
        shared = card.expert == "shared"
        experts = mlp.experts.down_proj
        of = mlp.shared_expert.down_proj.weight if shared else experts[int(card.expert)]
        assert torch.equal(model.family.ffn_vectors(model.block(1))[neuron.index], of[:, card.unit])


def test_a_usual_ffn_neuron_is_of_no_expert(tiny):
    card = neuron_card(tiny("llama"), Prompt("the capital of France is"), Neuron(1, "ffn", 5))
    assert (card.expert, card.unit, card.place) == (None, None, "")
