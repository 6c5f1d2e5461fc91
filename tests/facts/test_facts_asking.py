"""Which token is asked for, and whether a model knows it, against plain logits."""

import random

import pytest
import torch

import neuronlab as nl
from neuronlab.facts import MASK, Fact
from neuronlab.facts.asking import (
    TOP,
    answered,
    ask,
    ask_all,
    knows,
    prompt_text,
    rivals,
    wrong_answer,
)
from neuronlab.neurons import Prediction

PROMPTS = ("the capital of France is", "the quick brown", "a lazy dog jumps over the", "w x y")
ANSWERS = ("Paris", "London", "dog", "fox", "z", "two", "jumps")
TEXT = [
    ("llama", "causal"),
    ("gemma3_text", "causal"),
    ("gpt2", "causal"),
    ("gpt_neox", "causal"),
    ("bert", "masked"),
    ("roberta", "masked"),
]


@pytest.fixture(params=TEXT, ids=["-".join(pair) for pair in TEXT])
def speaker(request, tiny):
    """Tiny models that continue or fill in text."""
    return tiny(*request.param)


def plain_logits(model, prompt):
    """Logits for the answer's place: the transformers model, run on the tokenizer's own output."""
    if model.kind == "causal":
        ids = model.tokenizer(prompt)["input_ids"]
        place = -1
    else:
        ids = model.tokenizer(f"{prompt} {model.tokenizer.mask_token}.")["input_ids"]
        place = ids.index(model.tokenizer.mask_token_id)
    with torch.no_grad():
        return model.hf(input_ids=torch.tensor([ids])).logits[0, place].float()


def number(model, word):
    return model.tokenizer.get_vocab()[word]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_gold_token_is_the_accepted_answer_the_model_prefers(speaker, prompt):
    logits = plain_logits(speaker, prompt)
    draw = random.Random(prompt)
    for _ in range(4):
        answers = tuple(draw.sample(ANSWERS, 4))
        asked, prediction = answered(speaker, ask(speaker, Fact(prompt, answers)))
        best = max(answers, key=lambda word: float(logits[number(speaker, word)]))
        assert asked.encoded.target == prediction.target == number(speaker, best)
        assert prediction.label.strip() == best
        assert asked.golds == tuple(number(speaker, word) for word in answers)
        assert torch.allclose(prediction.logits, logits, atol=1e-4)
        order = logits.argsort(descending=True).tolist()
        assert prediction.rank == order.index(number(speaker, best)) + 1
        assert prediction.probability == pytest.approx(
            float(logits.softmax(-1)[number(speaker, best)]), rel=1e-4
        )


def test_the_order_of_the_answers_does_not_matter(speaker):
    given = [Fact(PROMPTS[0], answers) for answers in (ANSWERS, ANSWERS[::-1])]
    first, second = (answered(speaker, ask(speaker, fact)) for fact in given)
    assert first[1].target == second[1].target
    assert torch.equal(first[1].logits, second[1].logits)


def test_answers_without_a_token_do_not_count(speaker):
    asked = ask(speaker, Fact(PROMPTS[0], ("Berlin", "London", "Rome", "dog", "London")))
    assert asked.golds == (number(speaker, "London"), number(speaker, "dog"))
    assert asked.encoded.target == number(speaker, "London")


@pytest.mark.parametrize("joiner", [" ", ""])
def test_masked_models_get_the_mask_after_the_prompt(tiny, joiner):
    for name in ("bert", "roberta"):
        model = tiny(name, "masked")
        asked = ask(model, Fact("the capital of France is", ("Paris",), joiner=joiner))
        mask = model.tokenizer.mask_token
        ids = model.tokenizer(f"the capital of France is{joiner}{mask}.")["input_ids"]
        assert asked.encoded.input_ids[0].tolist() == ids
        assert ids[asked.encoded.position] == model.tokenizer.mask_token_id
        assert ids.count(model.tokenizer.mask_token_id) == 1


def test_a_mask_that_is_there_stays_where_it_is(tiny):
    model = tiny("bert", "masked")
    asked = ask(model, Fact("the [MASK] of France", ("capital",)))
    ids = model.tokenizer("the [MASK] of France")["input_ids"]
    assert asked.encoded.input_ids[0].tolist() == ids
    assert asked.encoded.position == ids.index(model.tokenizer.mask_token_id)


def test_causal_models_end_where_the_prompt_ends(tiny):
    model = tiny("llama")
    asked = ask(model, Fact("the capital of France is", ("Paris",)))
    ids = model.tokenizer("the capital of France is")["input_ids"]
    assert asked.encoded.input_ids[0].tolist() == ids
    assert asked.encoded.position == len(ids) - 1


def test_causal_models_refuse_a_mask(tiny, sentence):
    for prompt in ("the [MASK] of France", "the capital is [MASK]"):
        sentence(ask, tiny("llama"), Fact(prompt, ("Paris",)), says=["Tiny llama", prompt, "end"])


@pytest.mark.parametrize(
    ("name", "kind"), [("esm", "masked"), ("bert", "classifier"), ("llama", "classifier")]
)
def test_models_that_do_not_continue_text_are_not_asked(tiny, sentence, name, kind):
    model = tiny(name, kind)
    for function in (ask, prompt_text):
        sentence(function, model, Fact(PROMPTS[0], ("Paris",)), says=model.title)


def test_answers_outside_the_vocabulary_are_named(speaker, sentence):
    fact = Fact(PROMPTS[0], ("Berlin", "Rome"))
    sentence(ask, speaker, fact, says=["Berlin, Rome", PROMPTS[0], speaker.title])


def test_facts_that_cannot_be_asked_leave_a_gap(speaker):
    facts = [Fact(PROMPTS[0], (answer,)) for answer in ("Berlin", "Paris", "Rome", "fox")]
    asked = ask_all(speaker, facts)
    assert [one and one.fact for one in asked] == [None, facts[1], None, facts[3]]


def test_where_none_can_be_asked_one_sentence_says_why(tiny, sentence):
    model = tiny("llama")
    facts = [Fact("the [MASK] of France", ("capital",)), Fact(PROMPTS[1], ("Rome",))]
    sentence(ask_all, model, facts, says="Rome")
    sentence(ask_all, model, facts[::-1], says="[MASK]")
    sentence(ask_all, model, [], says="no facts")


@pytest.mark.long
def test_whole_says_whether_the_target_is_all_of_its_answer(speaker):
    assert ask(speaker, Fact(PROMPTS[0], ("dog",))).whole
    assert not ask(speaker, Fact(PROMPTS[0], ("Paris London",))).whole
    seen = set()
    for prompt in PROMPTS:
        logits = plain_logits(speaker, prompt)
        for long in ("Paris London", "fox jumps", "z two"):
            for short in ("dog", "quick", "lazy"):
                first = long.split()[0]
                prefers_long = logits[number(speaker, first)] > logits[number(speaker, short)]
                for answers in ((long, short), (short, long)):
                    asked, _ = answered(speaker, ask(speaker, Fact(prompt, answers)))
                    assert asked.whole == (not prefers_long)
                    assert asked.encoded.target == number(speaker, first if prefers_long else short)
                    told = "it is scored by its first" in asked.encoded.note
                    assert told == (not asked.whole)
                    seen.add((asked.whole, answers.index(short)))
    assert len(seen) == 4  # either answer preferred, in either place


@pytest.fixture
def predicted(tiny):
    return lambda logits, gold: Prediction(tiny("llama"), logits, gold)


def test_knowing_is_ten_first_choices_and_no_rival_above(predicted):
    """Against a sorted list, on random logits."""
    draw = random.Random(0)
    outcomes = set()
    for _ in range(400):
        logits = torch.tensor([draw.gauss(0, 1) for _ in range(40)])
        gold, *others = draw.sample(range(40), draw.randint(1, 6))
        order = sorted(range(40), key=lambda i: -float(logits[i]))
        first = gold in order[:TOP]
        best = not others or min(map(order.index, others)) > order.index(gold)
        assert knows(predicted(logits, gold), set(others)) == (first and best)
        outcomes.add((first, best))
    assert len(outcomes) == 4


def test_the_eleventh_choice_is_not_known(predicted):
    logits = torch.arange(20, 0, -1).float()
    assert [knows(predicted(logits, i), []) for i in range(20)] == 10 * [True] + 10 * [False]


def test_a_rival_that_is_just_as_probable_is_above(predicted):
    logits = torch.tensor([3.0, 3.0, 1.0])
    assert knows(predicted(logits, 0), {2})
    assert not knows(predicted(logits, 0), {1, 2})


def test_rivals_are_the_other_answers_of_the_relation(tiny):
    model = tiny("llama")
    facts = [
        Fact(PROMPTS[0], ("Paris", "dog"), "capital", "1"),
        Fact("a capital is", ("Paris",), "capital", "1"),
        Fact(PROMPTS[1], ("London",), "capital", "2"),
        Fact(PROMPTS[1], ("dog", "fox"), "capital", "3"),
        Fact(PROMPTS[2], ("z",), "animal", "4"),
        Fact(PROMPTS[2], ("Berlin",), "capital", "5"),
        Fact(PROMPTS[3], ("x", "z"), "", "6"),
    ]
    asked = ask_all(model, facts)
    words = [{model.token(i).strip() for i in rivals(one, asked)} if one else None for one in asked]
    assert words == [
        {"London", "fox"},
        {"London", "dog", "fox"},
        {"Paris", "dog", "fox"},
        {"Paris", "London"},
        set(),
        None,
        set(),
    ]


def test_the_filter_is_the_one_of_the_paper(speaker):
    """Gold among the ten most probable of the vocabulary and above all answers of its type."""
    facts = [
        Fact(prompt, answers, relation)
        for prompt in PROMPTS
        for relation, answers in (
            ("place", ("Paris", "London")),
            ("place", ("France",)),
            ("animal", ("dog",)),
            ("animal", ("fox",)),
            ("letter", ("z",)),
        )
    ]
    asked = ask_all(speaker, facts)
    types = {"place": ("Paris", "London", "France"), "animal": ("dog", "fox"), "letter": ("z",)}
    outcomes = []
    for one in asked:
        logits = plain_logits(speaker, one.fact.prompt)
        of = {word: float(logits[number(speaker, word)]) for word in types[one.fact.relation]}
        best = max(one.fact.answers, key=of.get)
        above = all(of[best] > of[word] for word in of if word not in one.fact.answers)
        expected = above and of[best] >= float(logits.topk(10).values[-1])
        answer, prediction = answered(speaker, one)
        assert knows(prediction, rivals(answer, asked)) == expected
        outcomes.append(expected)
    assert 0 < sum(outcomes) < len(outcomes)


def test_a_wrong_answer_is_never_an_accepted_one(tiny):
    llama = tiny("llama")
    facts = (
        Fact("the quick", ("Paris", "fox"), "r", "a"),
        Fact("a quick", ("Paris",), "r", "b"),
        Fact("the lazy", ("fox", "Paris"), "r", "c"),
        Fact("a lazy", ("Berlin", "dog"), "r", "d"),  # the first is no word of the model
        Fact("over the", ("London",), "r", "e"),
        Fact("over a", ("z",), "s", "f"),
        Fact("of the", ("z",), "s", "g"),
    )
    asked = ask_all(llama, facts)
    expected = {
        "a": {"dog", "London"},
        "b": {"fox", "dog", "London"},
        "c": {"dog", "London"},
        "d": {"Paris", "fox", "London"},
        "e": {"Paris", "fox", "dog"},
        "f": {None},
        "g": {None},
    }
    for one in asked:
        found = [wrong_answer(llama, one, asked, f"{seed}") for seed in range(40)]
        words = {token if token is None else llama.label(token) for token in found}
        assert words == expected[one.fact.name]
        assert found[0] == wrong_answer(llama, one, asked, "0")


def test_a_fact_that_cannot_be_asked_gives_no_wrong_answer(tiny):
    """And is none of the facts that are counted."""
    llama = tiny("llama")
    one = Fact("the quick", ("Paris",), "r", "a")
    lost = Fact("a [MASK] fox", ("London",), "r", "b")  # not for a causal model
    asked = ask_all(llama, [one, lost])
    assert asked[1] is None
    assert wrong_answer(llama, ask(llama, one), asked, "0") is None


@pytest.mark.parametrize(
    ("name", "prompt", "says"),
    [
        ("llama", "the " * 100, "shorten"),
        ("bert", "the [MASK] of [MASK]", "once"),
        ("llama", " ", "empty"),
    ],
    ids=["too-long", "two-masks", "empty"],
)
def test_a_prompt_that_is_refused_is_not_blamed_on_its_answer(tiny, sentence, name, prompt, says):
    model = tiny(name, "masked" if name == "bert" else "causal")
    sentence(ask, model, Fact(prompt, ("Paris",)), says=says)


@pytest.mark.parametrize(
    "fact",
    [
        Fact("the capital\nof France is", ("Berlin",)),
        Fact("a capital [MASK]\nof France", ("Paris",)),
        Fact("the capital " * 30, ("Berlin",)),
        Fact("the capital is", tuple(f"Berlin{i}" for i in range(60))),
    ],
    ids=["line-break", "line-break-and-mask", "long-prompt", "many-answers"],
)
def test_what_is_said_of_a_strange_fact_stays_one_short_sentence(tiny, sentence, fact):
    sentence(ask, tiny("llama"), fact)


def test_the_capital_of_france(smollm):
    """Of the accepted answers the one that the model says, and its rivals are below."""
    facts = [
        Fact("The capital of France is", ("Lyon", "Paris"), "capital"),
        Fact("The capital of Germany is", ("Berlin",), "capital"),
    ]
    asked = ask_all(smollm, facts)
    answer, prediction = answered(smollm, asked[0])
    assert prediction.label == " Paris"
    assert answer.whole
    assert knows(prediction, rivals(answer, asked))
    plain = nl.predict(smollm, nl.Prompt("The capital of France is", target=" Paris"))
    assert prediction.probability == pytest.approx(plain.probability, abs=1e-5)
    assert MASK not in answer.encoded.tokens


@pytest.mark.parametrize("answers", [("Paris London", "Paris"), ("Paris", "Paris London")])
def test_an_answer_is_whole_in_any_order_of_the_answers(tiny, answers):
    assert ask(tiny("llama"), Fact("a", answers)).whole
