"""Table 2 of arXiv 2312.12141 on tiny models, against parameters that are really zeroed."""

import copy
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_with, run

import neuronlab as nl
from neuronlab.attribution import METHODS
from neuronlab.attribution.request import Request
from neuronlab.facts import Fact
from neuronlab.neurons import Activity, predict_many
from neuronlab.neurons.effect import Control
from neuronlab.runs import Result, Store
from neuronlab.studies import method_comparison
from neuronlab.studies.bases.bystanders import PLAIN_PROMPTS
from neuronlab.studies.bases.published import PAPER
from neuronlab.studies.method_comparison import (
    COMPARED,
    DIRECT,
    KS,
    OTHERS,
    K,
    MethodComparisonSpec,
    MethodComparisonStudy,
    differences,
    leaders,
)

STUDY = MethodComparisonStudy()
FAST = ("log_probability_increase", "norm", "coefficient")
FACTS = tuple(
    Fact(prompt, answers, relation, prompt)
    for prompt, answers, relation in (
        ("the capital of France is", ("Paris", "London"), "place"),
        ("the quick brown", ("fox",), "animal"),
        ("jumps over the lazy", ("dog", "fox"), "animal"),
        ("w x y", ("z",), "letter"),
        ("the capital is", ("Berlin",), "city"),  # no token
    )
)
MODELS = [("llama", "causal"), ("gemma3_text", "causal"), ("gpt2", "causal"), ("bert", "masked")]


@pytest.fixture
def interventions(monkeypatch):
    """The sets of neurons that the study zeroes, in the order in which it does."""
    seen = []

    def watched(model, encoded, changes):
        if changes[0] is not None:  # other prompts are asked as they are first
            seen.extend(change.neurons for change in changes)
        return predict_many(model, encoded, changes)

    monkeypatch.setattr(method_comparison, "predict_many", watched)
    return seen


spec = partial(MethodComparisonSpec, facts="own", own=FACTS, filtered=False, methods=FAST)


def same(first, second):
    assert first.numbers == second.numbers
    assert first.tables.keys() == second.tables.keys()
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])


class Plain:
    """The transformers model on the tokenizer's own output, with neurons' parameters zeroed."""

    def __init__(self, model, oracle):
        self.model = model
        self.hf = copy.deepcopy(model.hf)
        self.sites = [oracle.site(self.hf, layer, "ffn")[0] for layer in range(model.layers)]

    def logits(self, prompt):
        ids, place = self.model.tokenizer(prompt)["input_ids"], -1
        if self.model.kind == "masked":
            mask = self.model.tokenizer.mask_token
            ids = self.model.tokenizer(f"{prompt} {mask}.")["input_ids"]
            place = ids.index(self.model.tokenizer.mask_token_id)
        with torch.no_grad():
            return self.hf(input_ids=torch.tensor([ids])).logits[0, place].double()

    @contextmanager
    def zeroed(self, neurons):
        before = [site.weight.detach().clone() for site in self.sites]
        for layer, component, neuron in neurons:
            assert component == "ffn"
            weight = self.sites[layer].weight.data
            # GPT-2's projections are (in, out), all others' (out, in).
            weight[(neuron,) if self.model.hf.config.model_type == "gpt2" else (..., neuron)] = 0
        yield
        for site, weight in zip(self.sites, before, strict=True):
            site.weight.data.copy_(weight)

    def gold(self, fact):
        logits = self.logits(fact.prompt)
        known = self.model.tokenizer.get_vocab()
        return max((known[a] for a in fact.answers if a in known), key=lambda t: float(logits[t]))

    def row(self, fact, neurons=()):
        gold = self.gold(fact)
        with self.zeroed(neurons):
            logits = self.logits(fact.prompt)
        return {
            "rank": logits.argsort(descending=True).tolist().index(gold) + 1,
            "probability": float(logits.softmax(-1)[gold]),
            "log_probability": float(logits.log_softmax(-1)[gold]),
        }


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind"), MODELS, ids=[name for name, _ in MODELS])
def test_each_row_is_what_zeroed_parameters_give(tiny, interventions, oracle, name, kind):
    model = tiny(name, kind)
    plain = Plain(model, oracle)
    for number in (0, 2) if name == "llama" else (2,):
        interventions.clear()
        part = STUDY.run_shard(spec(methods=COMPARED), number, context_with(model))
        fact = FACTS[number]
        original, *rows = part.tables["rows"].to_dict("records")
        assert len(rows) == len(interventions) == len(COMPARED) * len(KS) * 3
        for row, neurons in zip([original, *rows], [(), *interventions], strict=True):
            expected = plain.row(fact, neurons)
            assert row["rank"] == expected["rank"]
            assert row["probability"] == pytest.approx(expected["probability"], rel=1e-3, abs=1e-6)
            assert row["log_probability"] == pytest.approx(expected["log_probability"], abs=1e-3)
        assert (original["method"], original["k"], original["control"]) == ("original", 0, "")
        changed = [row["log_probability"] for row in rows]
        assert np.ptp(changed) > 0.5  # zeroing does something
    assert torch.equal(plain.logits("the quick"), Plain(model, oracle).logits("the quick"))


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind"), MODELS, ids=[name for name, _ in MODELS])
def test_zeroed_are_the_best_of_each_method(tiny, interventions, oracle, name, kind):
    """Of all FFN neurons, by the scores that the method gives when it is asked alone."""
    model = tiny(name, kind)
    fact = FACTS[0]
    gold = Plain(model, oracle).gold(fact)
    part = STUDY.run_shard(spec(methods=COMPARED), 0, context_with(model))
    rows = part.tables["rows"].iloc[1:]
    text = fact.prompt if kind == "causal" else f"{fact.prompt} [MASK]."
    for method in COMPARED:
        prompt = nl.Prompt(text, target=gold)
        scores = nl.attribute(model, prompt, method=method, components=("ffn",))["ffn"]
        best = np.sort(scores.ravel())[::-1]
        own = [
            (row.k, neurons)
            for row, neurons in zip(rows.itertuples(), interventions, strict=True)
            if row.method == method and row.control == ""
        ]
        assert [k for k, _ in own] == list(KS)
        for k, neurons in own:
            assert len(neurons) == k
            assert {component for _, component, _ in neurons} == {"ffn"}
            # scores, not places: neurons of equal rank may stand for each other
            found = sorted((scores[layer, neuron] for layer, _, neuron in neurons), reverse=True)
            assert np.array(found) == pytest.approx(best[:k], rel=1e-4, abs=2e-5)
        for (_, few), (_, more) in pairwise(own):
            assert few.neurons < more.neurons


def test_controls_are_other_neurons_of_the_same_layers(tiny, interventions):
    model = tiny("llama")
    part = STUDY.run_shard(spec(methods=COMPARED), 1, context_with(model))
    rows = part.tables["rows"].iloc[1:]
    assert rows["control"].tolist() == ["", "random", "as active"] * (len(rows) // 3)
    for offset in (1, 2):
        drawn = set()
        for chosen, control in zip(interventions[::3], interventions[offset::3], strict=True):
            layers = Counter(layer for layer, *_ in chosen)
            assert Counter(layer for layer, *_ in control) == layers
            assert len(control) == len(chosen)
            if max(layers.values()) <= model.sizes["ffn"] / 2:
                assert not chosen.neurons & control.neurons
            drawn.add(control.neurons)
        assert len(drawn) > 0.8 * len(interventions) / 3  # each method and k has its own


def test_one_control_is_as_active(tiny, interventions):
    model = tiny("llama")
    STUDY.run_shard(spec(methods=("coefficient",)), 1, context_with(model))
    activity = Activity.of(model, [model.encode(nl.Prompt(FACTS[1].prompt))], ("ffn",))
    first = [activity.level(neurons) for neurons in interventions[: 3 * 3]]
    assert np.mean(first[2::3]) > 2 * np.mean(first[1::3])


@pytest.mark.long
def test_the_numbers_are_the_table_of_the_paper(tiny, oracle, tmp_path):
    """Means over facts at k = 10, each from one row per fact."""
    model = tiny("llama")
    found = run(model, spec(methods=COMPARED), tmp_path)
    numbers, rows = found.numbers, found.tables["rows"]
    assert set(numbers["methods"]) == set(COMPARED)
    metrics = {"mrr", "probability", "log_probability"}
    controls = numbers["random"], numbers["as_active"]
    for entry in (*numbers["methods"].values(), numbers["original"], *controls):
        assert set(entry) == metrics
        assert all(type(value) is float for value in entry.values())
    assert numbers["k"] == K == 10
    assert numbers["facts"] == 4
    assert numbers["asked"] == 5

    def mean(own):
        by_fact = own.assign(mrr=1 / own["rank"]).groupby("fact")
        return by_fact[sorted(metrics)].mean().mean().to_dict()

    for method in COMPARED:
        own = rows[(rows["method"] == method) & (rows["k"] == 10) & (rows["control"] == "")]
        assert len(own) == 4
        assert numbers["methods"][method] == pytest.approx(mean(own))
    for name in ("random", "as active"):
        control = rows[(rows["control"] == name) & (rows["k"] == 10)]
        assert len(control) == 4 * len(COMPARED)
        assert numbers[Control(name).key] == pytest.approx(mean(control))
    plain = [Plain(model, oracle).row(fact) for fact in FACTS[:4]]
    for name in ("probability", "log_probability"):
        expected = np.mean([row[name] for row in plain])
        assert numbers["original"][name] == pytest.approx(expected, abs=1e-4)
    assert numbers["original"]["mrr"] == pytest.approx(np.mean([1 / row["rank"] for row in plain]))
    # through the store and back, nothing is lost
    store = Store(tmp_path / "kept")
    store.save(spec(methods=COMPARED), found, seconds=1.0)
    same(store.load(spec(methods=COMPARED).key)[1], found)


def test_the_summary_has_every_method_and_count_with_its_interval(tiny, tmp_path):
    model = tiny("llama")
    found = run(model, spec(), tmp_path)
    summary = found.tables["summary"]
    keys = set(summary[["method", "k", "control"]].itertuples(index=False, name=None))
    controls = ("random", "as active")
    expected = {(method, k, control) for method in FAST for k in KS for control in ("", *controls)}
    expected |= {(method_comparison.POOLED, k, control) for k in KS for control in controls}
    expected.add(("original", 0, ""))
    assert keys == expected
    assert len(summary) == len(keys)
    for name in ("mrr", "probability", "log_probability"):
        assert (summary[f"{name}_low"] <= summary[name] + 1e-9).all()
        assert (summary[name] <= summary[f"{name}_high"] + 1e-9).all()


@pytest.mark.long
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_facts_that_are_not_asked_or_not_known_are_counted(tiny, oracle, tmp_path, name):
    model = tiny(name)
    plain = Plain(model, oracle)
    vocabulary = model.tokenizer.get_vocab()
    words = [w for w in vocabulary if w.isalpha()]
    facts = [Fact("the [MASK] dog", ("lazy",), "r", "mask")]
    states = ["impossible"]
    for prompt in ("a quick", "the capital of London is", "w x y"):
        order = plain.logits(prompt).argsort(descending=True).tolist()
        ranked = sorted(words, key=lambda word, order=order: order.index(vocabulary[word]))
        for place in (0, -1):  # of relations of their own: no rivals
            facts.append(Fact(prompt, (ranked[place],), f"{prompt} {place}", f"{prompt} {place}"))
            top = order.index(vocabulary[ranked[place]]) < 10
            states.append("used" if top else "unknown")
    assert states.count("unknown") == 3
    found = run(model, spec(own=tuple(facts), filtered=True), tmp_path)
    table = found.tables["facts"]
    assert table["state"].tolist() == states
    assert table["fact"].tolist() == list(range(7))
    used = table[table["state"] == "used"]
    assert used["prompt"].tolist() == [
        fact.prompt for fact, state in zip(facts, states, strict=True) if state == "used"
    ]
    assert set(found.tables["rows"]["fact"]) == set(used["fact"])
    numbers = found.numbers
    assert (numbers["facts"], numbers["asked"]) == (states.count("used"), 7)
    assert "3 that the model does not know and 1 that it cannot be asked" in numbers["left_out"]
    everyone = run(model, spec(own=tuple(facts)), tmp_path / "all").numbers
    assert everyone["facts"] == 6
    assert "know" not in everyone["left_out"]


def test_a_rival_above_leaves_a_fact_out(tiny, oracle, tmp_path):
    model = tiny("llama")
    vocabulary = model.tokenizer.get_vocab()
    words = [w for w in vocabulary if w.isalpha()]
    logits = Plain(model, oracle).logits("a quick")
    best, second = sorted(words, key=lambda word: -float(logits[vocabulary[word]]))[:2]
    assert float(logits[vocabulary[second]]) >= float(logits.topk(10).values[-1])
    facts = (Fact("a quick", (second,), "r", "1"), Fact("w x y", (best,), "r", "2"))
    found = MethodComparisonStudy().run_shard(
        spec(own=facts, filtered=True), 0, context_with(model)
    )
    assert found.numbers == {"state": "unknown"}
    apart = (facts[0], Fact("w x y", (best,), "other", "2"))
    found = MethodComparisonStudy().run_shard(
        spec(own=apart, filtered=True), 0, context_with(model)
    )
    assert found.numbers["state"] == "used"


def test_nothing_left_is_one_sentence(tiny, oracle, tmp_path, sentence):
    model = tiny("llama")
    vocabulary = model.tokenizer.get_vocab()
    unknown = []
    for prompt in ("a quick", "w x y"):
        last = int(Plain(model, oracle).logits(prompt).argmin())
        word = next(w for w, i in vocabulary.items() if i == last)
        unknown.append(Fact(prompt, (word,), prompt, prompt))
    sentence(run, model, spec(own=tuple(unknown), filtered=True), tmp_path, says="knows none")
    no_token = tuple(Fact(p, ("Berlin",), "r", p) for p in ("a quick", "w x y"))
    sentence(run, model, spec(own=no_token), tmp_path, says="Berlin")
    sentence(run, model, spec(own=()), tmp_path, says="no facts")


def test_models_that_do_not_speak_are_one_sentence(tiny, tmp_path, sentence):
    for name, kind in (("bert", "classifier"), ("esm", "masked")):
        model = tiny(name, kind)
        sentence(run, model, spec(), tmp_path, says="does not continue text")


def test_answers_of_several_tokens_are_counted(tiny, tmp_path):
    model = tiny("llama")
    own = (*FACTS[1:3], Fact("a", ("quick fox",), "r", "long"))
    assert run(model, spec(own=own), tmp_path).numbers["first_tokens"] == 1


@pytest.mark.long
def test_an_interrupted_run_goes_on_where_it_was(tiny, tmp_path, monkeypatch, hooks_of):
    model = tiny("llama")
    hooks = hooks_of(model)
    asked = spec(methods=("log_probability_increase", "integrated_gradients"))
    whole = run(model, asked, tmp_path / "whole")
    computed = []
    compute = MethodComparisonStudy.run_shard

    def watched(self, spec, shard, context):
        computed.append(shard)
        return compute(self, spec, shard, context)

    monkeypatch.setattr(MethodComparisonStudy, "run_shard", watched)

    def stop(fraction, message):
        if fraction > 0.5:
            raise InterruptedError

    store = tmp_path / "runs"
    with pytest.raises(InterruptedError):
        run(model, asked, store, on_progress=stop)
    assert computed == [0, 1, 2]
    finished = Store(store).finished_shards(asked.key)
    assert finished == {0, 1}
    assert hooks_of(model) == hooks
    computed.clear()
    found = run(model, asked, store)
    assert computed == [2, 3, 4]
    same(found, whole)
    assert hooks_of(model) == hooks


def test_cancelling_within_a_fact_leaves_the_model_as_it_was(tiny, tmp_path, hooks_of):
    model = tiny("gpt2")
    before, hooks = nl.predict(model, nl.Prompt("the quick")).logits, hooks_of(model)
    for stop_at in range(1, 40, 6):
        calls = []

        def cancelled(calls=calls, stop_at=stop_at):
            calls.append(1)
            return len(calls) > stop_at

        with pytest.raises(nl.runs.Cancelled):
            run(model, spec(methods=COMPARED), tmp_path / str(stop_at), cancelled=cancelled)
        assert hooks_of(model) == hooks
        assert model.hf.config._attn_implementation == "sdpa"
    assert torch.equal(nl.predict(model, nl.Prompt("the quick")).logits, before)


@pytest.mark.long
def test_the_same_spec_gives_the_same_result(tiny, tmp_path):
    model = tiny("llama")
    same(run(model, spec(), tmp_path / "1"), run(model, spec(), tmp_path / "2"))


@pytest.mark.long
def test_the_seed_changes_the_controls_alone(tiny, tmp_path):
    model = tiny("llama")
    first, second = (
        run(model, spec(seed=seed), tmp_path / str(seed)).tables["rows"] for seed in (0, 1)
    )
    pd.testing.assert_frame_equal(first[first["control"] == ""], second[second["control"] == ""])
    for control in ("random", "as active"):
        mine, other = (table[table["control"] == control] for table in (first, second))
        assert not mine.equals(other)


@pytest.mark.long
def test_a_methods_row_does_not_depend_on_the_others(tiny, tmp_path):
    model = tiny("llama")
    every = run(model, spec(methods=COMPARED), tmp_path / "all").tables["rows"]
    for method in ("coefficient_rank", "gradient_x_activation"):
        alone = run(model, spec(methods=(method,)), tmp_path / method).tables["rows"]
        own = every[every["method"].isin(["original", method])].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone)


def test_means_are_those_of_hand_made_parts(tiny):
    """Two facts used of three; the controls of both methods are one random row."""
    model = tiny("llama")

    def part(original, *values):
        rows = [("original", 0, "", *original)]
        names = [(m, 10, control) for m in ("norm", "coefficient") for control in ("", "random")]
        rows += [(*name, *value) for name, value in zip(names, values, strict=True)]
        rows += [(m, 10, "as active", 1, 0.2, -0.5) for m in ("norm", "coefficient")]
        columns = ["method", "k", "control", "rank", "probability", "log_probability"]
        numbers = {"state": "used", "prompt": "p", "gold": "g", "whole": True}
        others = [("norm", "plain", 0.5, 0.25 * original[0]), ("norm", "plain", 0.5, 0.5)]
        bystanders = pd.DataFrame(others, columns=["method", "about", "before", "after"])
        table = pd.DataFrame(rows, columns=columns)
        return Result(numbers=numbers, tables={"rows": table, "bystanders": bystanders})

    parts = [
        part((1, 0.9, -0.1), (2, 0.5, -1.0), (1, 0.8, -0.2), (4, 0.1, -3.0), (2, 0.6, -0.4)),
        Result(numbers={"state": "unknown"}),
        part((2, 0.3, -1.1), (4, 0.1, -2.0), (2, 0.2, -1.2), (1, 0.5, -1.0), (4, 0.4, -1.0)),
    ]
    result = STUDY.merge(spec(methods=("norm", "coefficient")), parts, context_with(model))
    numbers = result.numbers
    assert numbers["original"] == pytest.approx(
        {"mrr": 0.75, "probability": 0.6, "log_probability": -0.6}
    )
    assert numbers["methods"] == {
        "norm": pytest.approx({"mrr": 0.375, "probability": 0.3, "log_probability": -1.5}),
        "coefficient": pytest.approx({"mrr": 0.625, "probability": 0.3, "log_probability": -2.0}),
    }
    random = {"mrr": (0.75 + 0.375) / 2, "probability": 0.5, "log_probability": -0.7}
    assert numbers["random"] == pytest.approx(random)
    assert numbers["as_active"]["probability"] == pytest.approx(0.2)
    left = result.tables["specificity"].set_index(["method", "about"])["left"].to_dict()
    assert left == pytest.approx(
        {
            ("norm", "fact"): 0.6 / 1.2,
            ("coefficient", "fact"): 0.6 / 1.2,
            ("norm", "plain"): (0.375 + 0.5) / (2 * 0.5),
        }
    )
    assert (numbers["facts"], numbers["asked"], numbers["k"]) == (2, 3, 10)
    assert numbers["left_out"] == "Left out: 1 that the model does not know."


# Arxiv 2312.12141v4, table 2: MRR and probability in per cent, of GPT2-large and of Llama-7B.
TABLE_2 = """
original                  .361 7.1 .551 21.5
log_probability_increase  .201 3.4 .312  9.2
log_probability           .214 3.6 .339 10.8
probability_increase      .219 3.7 .345 10.0
norm                      .363 7.1 .549 21.3
coefficient               .439 8.6 .529 22.9
rank                      .306 5.8 .493 18.1
coefficient_norm          .394 8.1 .523 22.6
coefficient_rank          .232 4.0 .389 13.0
"""


def test_the_papers_numbers_are_those_of_its_table():
    assert [published.model for published in PAPER] == ["GPT2-large", "Llama-7B"]
    for column, published in enumerate(PAPER):
        table = {}
        for line in TABLE_2.strip().splitlines():
            name, *cells = line.split()
            mrr, per_cent = map(float, cells[2 * column : 2 * column + 2])
            table[name] = mrr, pytest.approx(per_cent / 100)
        assert published.rows == table
        assert set(published.rows) == {"original", *DIRECT}


def test_methods_are_those_of_the_registry_in_its_order():
    assert set(COMPARED) <= set(METHODS)
    given = ("rank", "norm", "integrated_gradients")
    assert spec(methods=given).methods == spec(methods=given[::-1]).methods
    assert spec(methods=given).key == spec(methods=given[::-1]).key
    assert spec(methods=given).key != spec(methods=given[:2]).key
    for wrong in ((), ("magic",), ("norm", "magic")):
        with pytest.raises(ValueError, match="choose methods from"):
            spec(methods=wrong)


@pytest.mark.long
def test_the_random_method_is_not_taken_for_the_controls(tiny, tmp_path):
    model = tiny("llama")
    found = run(model, spec(methods=("random", "norm")), tmp_path)
    rows = found.tables["rows"]
    for numbers, control in (
        (found.numbers["random"], rows["control"] == "random"),
        (
            found.numbers["methods"]["random"],
            (rows["method"] == "random") & (rows["control"] == ""),
        ),
    ):
        own = rows[control & (rows["k"] == K)]
        expected = own.groupby("fact")["probability"].mean().mean()
        assert numbers["probability"] == pytest.approx(expected)


def test_the_random_method_draws_by_the_seed(tiny, interventions):
    model = tiny("llama")
    for seed in (0, 1):
        STUDY.run_shard(spec(methods=("random",), seed=seed), 0, context_with(model))
    chosen = interventions[::3]
    assert chosen[: len(KS)] != chosen[len(KS) :]


def test_the_default_methods_given_by_name_are_the_same_question():
    assert MethodComparisonSpec(methods=COMPARED).key == MethodComparisonSpec().key


def test_the_capital_of_france(smollm, interventions):
    """On a model that knows something, the paper's method finds what random neurons do not."""
    model = smollm
    own = (Fact("The capital of France is", ("Paris",), "capital", "france"),)
    part = STUDY.run_shard(
        spec(own=own, filtered=True, methods=("log_probability_increase",)), 0, context_with(model)
    )
    rows = part.tables["rows"].set_index(["k", "control"])["probability"]
    assert rows[10, ""] < 0.25 * rows[0, ""]
    assert rows[10, "random"] > 0.5 * rows[0, ""]
    assert rows[10, "as active"] > 2 * rows[10, ""]
    assert part.numbers["gold"] == " Paris"


def compared(**columns):
    """Rows of methods that leave so much of each fact's probability, ten neurons zeroed."""
    lines = [
        {"fact": i, "method": name, "k": K, "control": "", "rank": 1}
        | {"probability": p, "log_probability": np.log(p)}
        for name, values in columns.items()
        for i, p in enumerate(values)
    ]
    return pd.DataFrame(lines)


def test_a_leader_is_one_that_the_facts_tell_apart():
    draw = np.random.default_rng(0)
    easy = draw.uniform(0.1, 0.4, 60)
    rows = compared(norm=easy, rank=easy * draw.uniform(0.9, 1.1, 60), coefficient=easy / 2)
    table = differences(rows)
    assert leaders(table, K, "probability") == ["coefficient"]
    line = table[(table["measure"] == "probability") & (table["method"] == "norm")].iloc[0]
    assert line["difference"] == pytest.approx(easy.mean() / 2)
    assert line["low"] > 0
    near = differences(compared(norm=easy, rank=easy * draw.uniform(0.9, 1.1, 60)))
    assert set(leaders(near, K, "probability")) == {"norm", "rank"}
    assert leaders(differences(compared(norm=easy)), K, "probability") == []
    alone = differences(compared(norm=[0.1], rank=[0.9]))
    assert leaders(alone, K, "probability") == ["norm", "rank"]  # one fact tells nothing apart


def test_other_prompts_are_asked_under_the_same_neurons(tiny, oracle):
    """Against parameters that are really zeroed."""
    model = tiny("llama")
    plain = Plain(model, oracle)
    part = STUDY.run_shard(spec(methods=("coefficient",)), 0, context_with(model))
    bystanders = part.tables["bystanders"]
    assert bystanders["about"].value_counts().to_dict() == {
        "other relation": OTHERS,
        "plain": len(PLAIN_PROMPTS),
    }
    scores = nl.attribute(
        model, nl.Prompt(FACTS[0].prompt), method="coefficient", components=("ffn",)
    )
    chosen = list(scores.select(top=K))
    for prompt, line in zip(
        PLAIN_PROMPTS, bystanders.tail(len(PLAIN_PROMPTS)).itertuples(), strict=True
    ):
        logits = plain.logits(prompt)
        first = int(logits.argmax())
        with plain.zeroed(chosen):
            after = plain.logits(prompt).softmax(-1)[first]
        assert line.before == pytest.approx(float(logits.softmax(-1)[first]), rel=1e-3)
        assert line.after == pytest.approx(float(after), rel=1e-3)
    asked = [plain.row(fact)["probability"] for fact in FACTS[1:4]]
    for line in bystanders.head(OTHERS).itertuples():
        assert min(abs(line.before - p) for p in asked) < 1e-5


def test_facts_of_one_relation_have_no_others(tiny, tmp_path):
    model = tiny("llama")
    found = run(model, spec(own=FACTS[1:3]), tmp_path)
    assert set(found.tables["specificity"]["about"]) == {"fact", "plain"}


def test_a_neurons_score_is_that_of_all_its_tokens(tiny, asked):
    model = tiny("t5", "seq2seq")
    prompt = asked(model)
    method = "gradient_x_activation"
    request = Request(model, model.encode(prompt), nl.predict(model, prompt).target, ("ffn",))
    best = method_comparison._best(METHODS[method].engines["fast"](request), 7)
    scores = nl.attribute(model, prompt, method=method, components=("ffn",))
    top = scores.top(7)
    assert best == list(zip(top["layer"], top["neuron"], strict=True))
