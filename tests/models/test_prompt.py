"""What a person may ask, and the one sentence for what nobody can answer."""

import copy

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

import neuronlab as nl
from neuronlab.models import MASK
from neuronlab.models.prompt import joined


def test_the_next_token_is_read_at_the_last_one(tiny):
    model = tiny("llama")
    encoded = model.encode(nl.Prompt("the capital of France", target=" Paris"))
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


def test_bytes_of_a_letter_are_told_apart(smollm):
    ids = smollm.tokenizer("ᚠ 𓀀", add_special_tokens=False)["input_ids"]
    tokens = [smollm.token(index) for index in ids]
    assert "".join(tokens).encode().decode("unicode_escape").encode("latin1").decode() == "ᚠ 𓀀"
    assert not any("\ufffd" in token for token in tokens)
    every = [smollm.token(index) for index in range(smollm.embeddings)]
    assert len(set(every)) == len(every)


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
        (">name MKTAY", ["FASTA", "lines below"]),
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


# --- Special tokens ------------------------------------------------------------------------------


def with_specials(model, twin, single, **names):
    """A copy of a tiny model whose tokenizer frames a text in special tokens."""
    other = twin(model)
    tokenizer = copy.deepcopy(model.tokenizer)
    ids = tokenizer.get_vocab()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(t, ids[t]) for t in ("<|end|>", "<unk>", "<pad>")]
    )
    other.tokenizer = tokenizer
    return other


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_what_follows_the_end_is_not_what_follows_the_text(tiny, twin, name):
    """Tokenizers that append the end of text, as `add_eos_token` does and BERT's on GPT-2."""
    plain = tiny(name)
    prompt = nl.Prompt("the capital of France is", " Paris")
    alone = plain.encode(prompt)
    ending = with_specials(plain, twin, "$A <|end|>").encode(prompt)
    assert torch.equal(ending.input_ids, alone.input_ids)
    assert ending.position == alone.position
    assert "end that the tokenizer adds is left out" in ending.note
    framed = with_specials(plain, twin, "<unk> $A <|end|>").encode(prompt)
    assert framed.input_ids[0, 1:].tolist() == alone.input_ids[0].tolist()
    assert framed.target == alone.target


def test_a_text_that_has_its_beginning_gets_no_second_one(tiny, twin):
    model = with_specials(tiny("gpt2"), twin, "<|end|> $A")
    once = model.encode(nl.Prompt("the capital", " Paris"))
    typed = model.encode(nl.Prompt("<|end|> the capital", " Paris"))
    assert torch.equal(typed.input_ids, once.input_ids)
    assert "beginning token already" in typed.note
    assert once.note == ""


def test_a_prompt_that_ends_with_a_space_says_so(smollm):
    encoded = smollm.encode(nl.Prompt("The capital of France is "))
    assert "ends with a space" in encoded.note
    assert smollm.encode(nl.Prompt("The capital of France is")).note == ""


def test_a_decoder_that_classifies_reads_the_last_token_that_is_no_padding(tiny, twin, oracle):
    model = twin(tiny("llama", "classifier"))
    text = "the fox jumps over <pad> <pad>"
    encoded = model.encode(nl.Prompt(text))
    with torch.no_grad():
        expected = model.hf(input_ids=encoded.input_ids).logits[0]
    assert encoded.position == 3
    assert torch.allclose(nl.predict(model, nl.Prompt(text)).logits, expected, atol=1e-6)


def test_a_causal_protein_model_is_asked_what_follows_the_last_residue(tiny, twin):
    model = tiny("gpt2", "causal", protein=True)
    encoded = model.encode(nl.Prompt("MKTAY", target="K"))
    assert encoded.tokens == tuple("MKTAY")
    assert encoded.position == 4
    assert model.residue_ids("MKTAY") == encoded.input_ids[0].tolist()
    assert model.residues_at == slice(0, None)
    masked = tiny("esm", "masked")
    assert len(masked.residue_ids("MKTAY")[masked.residues_at]) == 5


# --- Answers where they stand --------------------------------------------------------------------


def bpe(tiny, twin, name, kind, words):
    """A tiny model with a byte-level tokenizer that knows these words and all letters."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<mask>", "<s>", "</s>"]
    vocabulary = {token: i for i, token in enumerate([*special, *letters])}
    merges = []
    for word in words:
        pieces = list(word.replace(" ", "Ġ"))
        while len(pieces) > 1:
            merge = pieces[0] + pieces[1]
            if merge not in vocabulary:
                vocabulary[merge] = len(vocabulary)
                merges.append((pieces[0], pieces[1]))
            pieces[:2] = [merge]
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>"
    )
    # As RoBERTa's does, its mask takes the space before it along.
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
    model = twin(tiny(name, kind, vocab_size=len(vocabulary)))
    model.tokenizer = tokenizer
    return model


def test_an_answer_is_cut_as_it_is_cut_in_its_place(tiny, twin):
    model = bpe(tiny, twin, "gpt2", "causal", [" is", "es", " Paris"])
    spaced = model.encode(nl.Prompt("it is", " Paris"))
    assert model.token(spaced.target) == " Paris"
    assert (spaced.whole, spaced.note) == (True, "")
    glued = model.encode(nl.Prompt("it t", "es"))
    assert model.token(glued.target) == "es"
    assert "within the prompt's last word" in glued.note
    melted = model.encode(nl.Prompt("it Par", "is"))  # together they are another token
    assert model.token(melted.target) == " is"
    assert "melts" in melted.note


def test_an_answer_whose_first_token_is_a_space_is_asked_for_after_it(tiny, twin, sentence):
    """Digits have no token with a space: every number's first token would be the same."""
    model = bpe(tiny, twin, "gpt2", "causal", [" is"])
    sentence(model.encode, nl.Prompt("it is", " 3"), says=["a space and no more", "end the prompt"])
    encoded = model.encode(nl.Prompt("it is ", "3"))
    assert model.token(encoded.target) == "3"
    assert encoded.whole


def test_roberta_finds_the_word_that_its_mask_stands_for(tiny, twin):
    """Its own " Paris", whether or not the answer was given with a space."""
    model = bpe(tiny, twin, "roberta", "masked", [" is", " Paris", "Paris"])
    for answer in ("Paris", " Paris"):
        for mask in ("<mask>", MASK):
            encoded = model.encode(nl.Prompt(f"it is {mask}.", answer))
            assert model.token(encoded.target) == " Paris"
            assert encoded.whole
    assert model.token(model.encode(nl.Prompt("<mask> is it", "Paris")).target) == "Paris"


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("The capital of France is", "Paris", " Paris"),
        ("In 1969,", "men", " men"),
        ("It costs $", "5", "5"),
        ("He said “", "yes", "yes"),
        ("(see", "page", " page"),
        ("first line\n", "Second", "Second"),
        ("the end ", "of", "of"),
        ("法国的首都是", "巴黎", "巴黎"),
        ("日本の首都は", "Tokyo", "Tokyo"),
        ("Paris is", ",", ","),
        ("well-", "known", "known"),
        ("", "word", "word"),
    ],
)
def test_a_typed_answer_gets_a_space_where_a_word_begins(text, answer, expected):
    assert joined(text, answer) == expected


# --- What nobody can answer ----------------------------------------------------------------------


def test_tokens_and_targets_beyond_the_embedding(tiny, twin, sentence):
    model = twin(tiny("gpt2"))
    model.tokenizer = copy.deepcopy(model.tokenizer)
    model.tokenizer.add_tokens(["brandnew"])
    sentence(model.encode, nl.Prompt("the brandnew fox"), says=["'brandnew'", "embedding"])
    sentence(model.encode, nl.Prompt("the fox", " brandnew"), says="vocabulary")
    assert model.encode(nl.Prompt("the fox", model.vocabulary - 1)).target
    sentence(model.encode, nl.Prompt("the fox", model.vocabulary), says="vocabulary")


def test_a_head_with_more_rows_than_the_configuration_says(tiny, twin):
    model = twin(tiny("llama"))
    rows = model.vocabulary
    model.hf.lm_head = torch.nn.Linear(32, rows + 5, bias=False)
    assert model.vocabulary == rows + 5


def test_a_mask_where_nothing_is_filled_in(tiny, sentence):
    for mask in (MASK, "<mask>"):
        sentence(tiny("gpt2").encode, nl.Prompt(f"the {mask} fox"), says="goes on")
    sentence(tiny("gpt2").encode, nl.Prompt("the fox", mask=1), says="fills in no residue")
    sentence(tiny("bert", "masked").encode, nl.Prompt(f"the {MASK}", mask=1), says="no residue")
    sentence(tiny("esm", "classifier").encode, nl.Prompt("MKT", mask=1), says="no residue")


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    "fields",
    [
        {"text": None},
        {"text": b"the fox"},
        {"text": "the fox", "target": True},
        {"text": "the fox", "target": 1.0},
        {"text": "the fox", "mask": "1"},
        {"text": "the fox", "mask": True},
    ],
)
def test_a_field_of_another_type_is_named_in_one_sentence(fields):
    with pytest.raises(TypeError, match=r"^A .* not \w+\.$"):
        nl.Prompt(**fields)
