"""What a person may ask, and the one sentence for what nobody can answer."""

import pytest
import torch

import neuronlab as nl
from neuronlab.models import MASK


def test_the_next_token_is_read_at_the_last_one(tiny):
    model = tiny("llama")
    encoded = model.encode(nl.Prompt("the capital of France", target="Paris"))
    assert encoded.tokens == ("the", "capital", "of", "France")
    assert encoded.position == 3
    assert model.token(encoded.target) == "Paris"
    assert encoded.note == ""


def test_a_target_may_be_an_index_or_left_out(tiny):
    model = tiny("llama")
    assert model.encode(nl.Prompt("the capital", target=7)).target == 7
    assert model.encode(nl.Prompt("the capital")).target is None


def test_the_mask_is_where_a_person_put_it(tiny):
    for name, own in (("bert", "[MASK]"), ("roberta", "<mask>")):
        model = tiny(name, "masked")
        for written in (MASK, own):
            encoded = model.encode(nl.Prompt(f"the {written} of France"))
            assert encoded.position == 2
            assert encoded.input_ids[0, 2] == model.tokenizer.mask_token_id


def test_a_classifier_knows_its_classes_by_name_and_number(tiny):
    for name in ("bert", "roberta", "llama", "gpt2"):
        model = tiny(name, "classifier")
        assert model.labels == ["no", "yes", "maybe"]
        assert model.encode(nl.Prompt("the fox", target="maybe")).target == 2
        assert model.encode(nl.Prompt("the fox", target=2)).target == 2


def test_a_hidden_residue_replaces_one_token(tiny):
    model = tiny("esm", "masked")
    plain = model.tokenizer("MKTAY")["input_ids"]
    encoded = model.encode(nl.Prompt("MKTAY", mask=2, target="T"))
    expected = list(plain)
    expected[3] = model.tokenizer.mask_token_id
    assert encoded.input_ids[0].tolist() == expected
    assert encoded.position == 3
    assert encoded.target == model.tokenizer.convert_tokens_to_ids("T")


def test_proteins_are_accepted_as_people_paste_them(tiny):
    model = tiny("esm", "classifier")
    tidy = model.encode(nl.Prompt("MKTAYIAK")).input_ids
    for pasted in ("mktayiak", " MKTA\nYIAK\r\n", "MkTa yIaK\t"):
        assert torch.equal(model.encode(nl.Prompt(pasted)).input_ids, tidy)


def test_a_target_of_several_tokens_is_scored_by_its_first_and_says_so(smollm):
    encoded = smollm.encode(nl.Prompt("The animal is a", target=" hippopotamus"))
    assert encoded.note.endswith(".")
    first = smollm.tokenizer(" hippopotamus", add_special_tokens=False)["input_ids"][0]
    assert encoded.target == first
    assert smollm.token(first) in encoded.note


def test_tokens_keep_their_leading_space(smollm):
    encoded = smollm.encode(nl.Prompt("The capital of France is", target=" Paris"))
    assert encoded.tokens == ("The", " capital", " of", " France", " is")
    assert smollm.token(encoded.target) == " Paris"


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_prompt(tiny, sentence, text):
    for name, kind in (("llama", "causal"), ("bert", "masked"), ("gpt2", "classifier")):
        sentence(tiny(name, kind).encode, nl.Prompt(text), says=["empty", "type"])
    for kind in ("masked", "classifier"):
        sentence(tiny("esm", kind).encode, nl.Prompt(text, mask=0), says=["empty", "paste"])


def test_a_prompt_that_is_too_long(tiny, sentence):
    for name, kind in (("llama", "causal"), ("gpt2", "causal"), ("bert", "classifier")):
        model = tiny(name, kind)
        sentence(model.encode, nl.Prompt("fox " * 65), says=["64", "shorten"])
        sentence(model.encode, nl.Prompt("fox " * 1_000_000), says="shorten")
    sentence(tiny("bert", "masked").encode, nl.Prompt(f"{MASK} " + "fox " * 80), says="shorten")
    for kind in ("masked", "classifier"):
        sentence(tiny("esm", kind).encode, nl.Prompt("M" * 100, mask=0), says="shorten")
        sentence(tiny("esm", kind).encode, nl.Prompt("M" * 200_000, mask=0), says="shorten")


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "gemma3_text"])
def test_the_longest_prompt_that_is_allowed_runs(tiny, name):
    model = tiny(name)
    prompt = nl.Prompt("fox " * model.max_tokens)
    assert 0 < nl.predict(model, prompt).probability <= 1


@pytest.mark.parametrize("name", ["bert", "roberta", "esm"])
def test_the_longest_encoder_prompt_runs(tiny, name):
    """RoBERTa's positions start at 2: two fewer tokens fit than its configuration says."""
    model = tiny(name, "classifier")
    units = model.max_tokens - 2
    prompt = nl.Prompt("M" * units if name == "esm" else "fox " * units)
    assert model.encode(prompt).input_ids.shape[1] == 64
    assert 0 < nl.predict(model, prompt).probability <= 1


@pytest.mark.parametrize("target", ["zebra", "", -1, 10_000])
def test_a_target_outside_the_vocabulary(tiny, sentence, target):
    for name, kind in (("llama", "causal"), ("bert", "masked")):
        prompt = nl.Prompt(f"the fox {MASK}" if kind == "masked" else "the fox", target=target)
        sentence(tiny(name, kind).encode, prompt, says="vocabulary")


@pytest.mark.parametrize("target", ["J", "ZZ", "AC", "1", "", "<mask>", -1, 33])
def test_a_target_that_is_no_residue(tiny, sentence, target):
    sentence(tiny("esm", "masked").encode, nl.Prompt("MKTAY", target=target, mask=0))


@pytest.mark.parametrize("target", [3, -1, "certainly", ""])
def test_a_class_out_of_range(tiny, sentence, target):
    for name in ("bert", "roberta", "gpt2"):
        prompt = nl.Prompt("the fox", target=target)
        sentence(tiny(name, "classifier").encode, prompt, says="choose one of no, yes, maybe")
    sentence(tiny("esm", "classifier").encode, nl.Prompt("MKT", target=target), says="choose one")


@pytest.mark.parametrize("text", ["the fox", f"{MASK} fox {MASK}"])
def test_no_mask_or_two(tiny, sentence, text):
    for name in ("bert", "roberta"):
        sentence(tiny(name, "masked").encode, nl.Prompt(text), says=[MASK, "once"])


@pytest.mark.parametrize("mask", [None, -1, 5, 100])
def test_no_residue_hidden(tiny, sentence, mask):
    sentence(tiny("esm", "masked").encode, nl.Prompt("MKTAY", mask=mask), says="residue")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MKT4AY", ["Character 4", "'4'", "digit", "remove"]),
        ("MKJTAY", ["Character 3", "'J'", "use"]),
        ("MK-TAY", ["Character 3", "gap", "remove"]),
        ("MK.TAY", ["gap", "remove"]),
        ("MKTAY*", ["Character 6", "stop", "remove"]),
        (">name\nMKTAY", ["FASTA", "upload"]),
        ("MKTÄY", ["Character 4", "use"]),
    ],
)
def test_a_sequence_the_alphabet_does_not_cover(tiny, sentence, text, says):
    for kind in ("masked", "classifier"):
        sentence(tiny("esm", kind).encode, nl.Prompt(text, mask=0), says=says)


def test_errors_reach_a_person_from_every_entry(tiny, sentence):
    model = tiny("llama")
    for run in (nl.predict, nl.attribute):
        sentence(run, model, nl.Prompt(""), says="empty")


def test_special_tokens_a_person_types_do_not_crash(tiny):
    """They are text like any other, or tokens; never an exception."""
    for text in ("<pad> fox", "<|end|>", "<unk>"):
        assert nl.predict(tiny("llama"), nl.Prompt(text)).rank == 1
