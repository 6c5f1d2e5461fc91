"""Heads and tokenizers as each model type means them, by transformers' own pipelines.

A type has the tokenizer of its own class, trained on a few words, or of the class that its
checkpoints come with.
"""

import re

import pytest
import torch
import transformers
from tiny_models import EVERY, HIDDEN, RESIDUES, ROWS, esm_tokenizer, plain
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.models import Unigram
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

import neuronlab as nl

TEXTS = (
    "The capital of France is Paris.",
    "The capital of Italy is Rome (see page 12)!",
    "a quick brown fox jumps over two lazy dogs",
)
# Of those without a class of their own: what their checkpoints come with, and what it adds.
BPE, STARTED = ("Qwen2Tokenizer", {}), ("GPT2Tokenizer", {"add_bos_token": True})
METASPACE = "LlamaTokenizer", {"add_bos_token": True}
TOKENIZERS = {
    **dict.fromkeys(("llama", "mistral", "mixtral", "ministral", "phi3", "phimoe"), METASPACE),
    **dict.fromkeys(("opt", "cwm", "smollm3", "nemotron", "ministral3", "helium"), STARTED),
    "gemma": ("GemmaTokenizer", {"add_bos_token": True}),
    "biogpt": ("XGLMTokenizer", {}),
    "xlm-roberta-xl": ("XLMRobertaTokenizer", {}),
    "modernbert": ("DebertaTokenizer", {}),
}
CLASSES = "no", "yes", "maybe"


def tokenizer_of(model_type, folder):
    """Of the type's own class, with the special tokens and the ways of cutting that it has."""
    if model_type == "esm":
        return esm_tokenizer(folder)
    if model_type == "esmc":
        return transformers.EsmcTokenizer()
    name, settings = TOKENIZERS.get(model_type) or (TOKENIZER_MAPPING_NAMES.get(model_type), {})
    if name in (None, "TokenizersBackend"):
        name, settings = BPE
    # Word by word: none is to be one token with what is beside it.
    words = [f" {word}" for text in TEXTS for word in re.findall(r"\w+|[^\w\s]", text)]
    tokenizer = getattr(transformers, name)(**settings)
    if isinstance(tokenizer.backend_tokenizer.model, Unigram):  # by scores, which training needs
        first = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
        pieces = {word.lower() if name == "AlbertTokenizer" else word for word in words}
        pieces = [piece.replace(" ", "▁") for piece in sorted(pieces | set(" ".join(words)))]
        scores = [(piece, -float(len(piece) == 1)) for piece in pieces if piece not in first]
        tokenizer = type(tokenizer)(vocab=[*((token, 0.0) for token in first), *scores])
    else:
        tokenizer = tokenizer.train_new_from_iterator(words * 3, 400)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made(type, head)``: transformers' model and its tokenizer; the same call gives the same."""
    models = {}

    def make(model_type, head):
        if (model_type, head) not in models:
            tokenizer = tokenizer_of(model_type, tmp_path_factory.mktemp("vocabulary"))
            models[model_type, head] = plain(model_type, head, tokenizer).eval(), tokenizer
        return models[model_type, head]

    return make


@pytest.mark.parametrize("model_type", [t for t, head in EVERY if head == "causal"])
def test_the_next_token_is_the_one_that_is_generated(model_type, made):
    hf, tokenizer = made(model_type, "causal")
    model = nl.load(hf, tokenizer)
    text = TEXTS[0].removesuffix(" Paris.")
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    prediction = nl.predict(model, nl.Prompt(text))
    with torch.no_grad():
        expected = hf(input_ids=ids).logits[0, -1].softmax(-1)
    torch.testing.assert_close(prediction.probabilities, expected, atol=1e-5, rtol=1e-4)
    generate = transformers.pipeline("text-generation", model=hf, tokenizer=tokenizer)
    written = generate(text, max_new_tokens=1, do_sample=False, return_tensors=True)
    assert written[0]["generated_token_ids"][-1] == prediction.target
    # The answer is cut as it is cut after the prompt.
    for answer in (" Paris", " is", "."):
        cut = tokenizer(text + answer, return_offsets_mapping=True)
        places = [start for start, stop in cut["offset_mapping"] if stop > len(text)]
        assert places[0] >= len(text)  # or the answer is no token of its own
        first = cut["input_ids"][-len(places)]
        assert model.encode(nl.Prompt(text, target=answer)).target == first


@pytest.mark.parametrize("model_type", [t for t, head in EVERY if head == "masked"])
def test_the_masked_token_is_the_one_that_is_filled_in(model_type, made):
    hf, tokenizer = made(model_type, "masked")
    model = nl.load(hf, tokenizer)
    protein = ROWS[model_type].protein
    text = "MKT[MASK]YIAKQR" if protein else "The capital of [MASK] is Paris."
    prompt = nl.Prompt("MKTAYIAKQR", mask=3) if protein else nl.Prompt(text)
    fill = transformers.pipeline("fill-mask", model=hf, tokenizer=tokenizer)
    expected = fill(text.replace("[MASK]", tokenizer.mask_token), top_k=5)
    filled = nl.predict(model, prompt).top(5)
    assert filled["index"].tolist() == [each["token"] for each in expected]
    assert filled["probability"].tolist() == pytest.approx(
        [each["score"] for each in expected], rel=1e-4
    )


CLASSIFIERS = [t for t, head in EVERY if head == "classifier"]


def check_classes(hf, tokenizer, asked, text):
    """That probabilities are the pipeline's, class by class; returns them."""
    classify = transformers.pipeline("text-classification", model=hf, tokenizer=tokenizer)
    expected = {each["label"]: each["score"] for each in classify(asked, top_k=None)}
    model = nl.load(hf, tokenizer)
    top = nl.predict(model, nl.Prompt(text)).top(3)
    assert model.labels == sorted(expected, key=CLASSES.index) == list(CLASSES)
    given = dict(zip(top["token"], top["probability"], strict=True))
    assert given == pytest.approx(expected, rel=1e-4, abs=1e-7)
    return given


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_classes_are_those_of_the_pipeline(model_type, made, sentence):
    hf, tokenizer = made(model_type, "classifier")
    text = "MKTAYIAKQR" if ROWS[model_type].protein else TEXTS[1]
    assert sum(check_classes(hf, tokenizer, text, text).values()) == pytest.approx(1)
    if "masked" not in ROWS[model_type].heads:  # the last token that is no padding decides
        text += tokenizer.pad_token
    hf.config.problem_type = "multi_label_classification"
    assert sum(check_classes(hf, tokenizer, text, text).values()) != pytest.approx(1)
    for problem, numbers in (("regression", 3), (None, 1)):
        hf.config.problem_type, hf.config.num_labels = problem, numbers
        sentence(nl.load, hf, tokenizer, says=["number", "at least two"])
    hf.config.id2label = dict(enumerate(CLASSES))


TWO_TEXTS = [t for t in CLASSIFIERS if "masked" in ROWS[t].heads and not ROWS[t].protein]


@pytest.mark.parametrize("model_type", TWO_TEXTS)
def test_a_classifier_of_two_texts_reads_them_as_the_pipeline_does(model_type, made):
    """With the separators between them and the token types that its tokenizer gives."""
    hf, tokenizer = made(model_type, "classifier")
    first, second = "a quick fox jumps", "Rome is the capital of Italy"
    asked = {"text": first, "text_pair": second}
    check_classes(hf, tokenizer, asked, f"{first} [SEP] {second}")
    model = nl.load(hf, tokenizer)
    if 1 in tokenizer(**asked).get("token_type_ids", []) and model_type not in TYPELESS:
        encoded = model.encode(nl.Prompt(f"{first} [SEP] {second}"))
        with torch.no_grad():  # they matter: without them it says something else
            without = hf(input_ids=encoded.input_ids).logits[0]
        assert not torch.allclose(without, nl.predict(model, encoded).logits, atol=1e-3)


def test_what_is_scored_is_the_prediction_over_both_texts(made):
    """The scores of a layer add up to the probability, less what is left without it."""
    model = nl.load(*made("bert", "classifier"))
    prompt = nl.Prompt("a quick fox jumps [SEP] Rome is the capital of Italy", target=1)
    scores = nl.attribute(model, prompt, components=("ffn",), positions="all", tolerance=1e-4)
    neurons = [(2, "ffn", index) for index in range(model.sizes["ffn"])]
    without = nl.predict(model, prompt, intervention=nl.Suppress(nl.NeuronSet(neurons)))
    change = nl.predict(model, prompt).probability - without.probability
    assert abs(change) > 1e-3  # how large it is depends on how the trained tokenizer cuts
    assert scores["ffn"][2].sum() == pytest.approx(change, abs=0.02 * abs(change))


# Their tokenizers number the texts, and they do not look.
TYPELESS = {"distilbert", "deberta", "deberta-v2", "modernbert"}


def test_a_head_that_tells_replaced_tokens_is_not_read_as_one_that_fills_in(
    made, tmp_path, sentence
):
    hf, tokenizer = made("electra", "masked")
    discriminator = transformers.ElectraForPreTraining(hf.config)
    sentence(nl.load, discriminator, tokenizer, says=["replaced", "generator"])
    discriminator.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    sentence(nl.load, str(tmp_path), says=["replaced", "generator"])


# --- Decoders of proteins ------------------------------------------------------------------------


def decoder(tokenizer):
    """A GPT-2 over the tokenizer's vocabulary, and what is made of it."""
    hf = plain("gpt2", "causal", tokenizer, n_embd=HIDDEN).eval()
    return hf, nl.load(hf, tokenizer)


def check_next(hf, model, ids, text):
    encoded = model.encode(nl.Prompt(text))
    assert encoded.input_ids[0].tolist() == ids
    with torch.no_grad():
        expected = hf(input_ids=torch.tensor([ids])).logits[0, -1]
    torch.testing.assert_close(nl.predict(model, encoded).logits, expected, atol=1e-5, rtol=1e-4)


def test_a_decoder_with_pieces_of_proteins_is_read_as_text():
    """As ProtGPT2 is: lines of 60 residues after the token that ends a text."""
    tokenizer = transformers.GPT2Tokenizer().train_new_from_iterator(
        ["\nMKTAYIAKQRQISFVKSHFSRQ", "\nMKTAYGGLAVISFVK"] * 9, 400
    )
    hf, model = decoder(tokenizer)
    assert model.alphabet == "text"
    text = "<|endoftext|>\nMKTAYIAKQR"
    check_next(hf, model, tokenizer(text)["input_ids"], text)


def test_a_decoder_of_residues_is_given_what_its_tokenizer_gives():
    """As ProGen's: a token that begins a text is in the vocabulary, and is not put before one."""
    vocabulary = ["<|pad|>", "<|bos|>", "<|eos|>", "1", "2", *RESIDUES]
    backend = Tokenizer(models.WordLevel({t: i for i, t in enumerate(vocabulary)}, "<|pad|>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|bos|>", eos_token="<|eos|>", pad_token="<|pad|>"
    )
    hf, model = decoder(tokenizer)
    assert model.alphabet == "protein"
    check_next(hf, model, tokenizer("MKTAY")["input_ids"], "MKTAY")
    check_next(hf, model, tokenizer("1MKTAY")["input_ids"], "1mktay")  # from its first residue on


def test_a_decoder_may_be_told_what_protein_it_writes(tmp_path, sentence):
    """As IgLM is: chain and species first, and not what BERT's tokenizer puts before a text."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[HEAVY]", "[LIGHT]", "[HUMAN]"]
    tokenizer = transformers.BertTokenizer(
        vocab={token: i for i, token in enumerate([*words, *RESIDUES])}, do_lower_case=False
    )
    hf, model = decoder(tokenizer)
    assert model.alphabet == "protein"
    ids = tokenizer.convert_tokens_to_ids(["[HEAVY]", "[HUMAN]", *"EVQLV"])
    for text in ("[HEAVY][HUMAN]EVQLV", "[HEAVY] [HUMAN]\nevq lv"):
        check_next(hf, model, ids, text)
    sentence(model.encode, nl.Prompt("[HEAVY][HUMAN]"), says="empty")
    sentence(model.encode, nl.Prompt("[MOUSE]EVQLV"), says="no residue")
    sentence(model.encode, nl.Prompt("EVQ1LV"), says="digit")
