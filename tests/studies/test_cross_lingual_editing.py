"""Cross-lingual editing against plain forward passes, one at a time, and its tables by hand."""

import math
import warnings
from collections import Counter
from itertools import pairwise, product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from contexts import context_with

import neuronlab as nl
from neuronlab import statistics
from neuronlab.facts import Fact
from neuronlab.neurons.activity import Activity
from neuronlab.runs import Context, Store, read_spec, run_study
from neuronlab.studies import cross_lingual_editing as study
from neuronlab.studies.bases.in_languages import in_languages
from neuronlab.studies.cross_lingual_editing import (
    NULLS,
    CrossLingualEditingSpec,
    CrossLingualEditingStudy,
    matrix,
    success,
)

STUDY = CrossLingualEditingStudy()
SHARED, IN_TURN = "language-independent", "one after the other"
EDITS = ["en", "xx", SHARED, IN_TURN]
ABOUT = ["fact", "same relation", "other relation"]
TAUS = {"en": 0.3, "xx": 0.2}
PROMPTS = {
    ("capital", "france"): ("London is the capital of", "x y of the dog"),
    ("capital", "london"): ("the quick fox jumps over", "lazy dog is"),
    ("animal", "dog"): ("the dog jumps over a", "brown is the fox"),
    ("animal", "fox"): ("the w of", "Paris Paris x"),
}
# Such that each tiny model has them among its first ten choices in both languages.
ANSWERS = {
    "llama": ("jumps", "fox", "Paris", "fox"),
    "bert": ("x", "y", "z", "lazy"),
}
UNKNOWN = ("the capital of France is", "a brown fox is"), "London"


def facts_of(name, relations=("capital", "animal")):
    return tuple(
        Fact(prompt, (answer,), relation, fact, language)
        for ((relation, fact), prompts), answer in zip(PROMPTS.items(), ANSWERS[name], strict=True)
        for language, prompt in zip(("en", "xx"), prompts, strict=True)
        if relation in relations
    )


def a_fact(name, prompts, *answers, relation="letter"):
    """One more fact in both languages; two answers are one for each language."""
    return tuple(
        Fact(prompt, (answer,), relation, name, language)
        for language, prompt, answer in zip(("en", "xx"), prompts, 2 * answers, strict=False)
    )


def spec(own=None, **changes):
    own = facts_of("llama") if own is None else own
    settings = {"model": "x", "facts": "own", "own": own, "languages": ("en", "xx")}
    settings |= {"filtered": False, "random_sets": 2}
    return CrossLingualEditingSpec(**settings | changes)


def run(model, asked, folder):
    """The result, and every call that rescaled neurons: (ids, sets, factor)."""
    calls, rescaled = [], study.rescaled

    def watched(model, encoded, sets, factor=0.0, **keywords):
        calls.append((encoded.input_ids.tolist(), sets, factor))
        return rescaled(model, encoded, sets, factor, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "rescaled", watched)
        return run_study(STUDY, asked, Store(folder), context_with(model)), calls


@pytest.fixture(scope="module", params=["llama", "bert"])
def ran(request, tiny, tmp_path_factory):
    model = tiny(request.param, "masked" if request.param == "bert" else "causal")
    own = facts_of(request.param)
    found, calls = run(model, spec(own), tmp_path_factory.mktemp("runs"))
    return SimpleNamespace(model=model, own=own, found=found, calls=calls)


@pytest.fixture(scope="module")
def small(llama, tmp_path_factory):
    """One fact edited, of four."""
    return run(llama, spec(fact="france"), tmp_path_factory.mktemp("runs"))[0]


# --- Brute force ---------------------------------------------------------------------------------


def prompt_of(model, fact, answer=None):
    mask = " [MASK]." if model.kind == "masked" else ""
    return nl.Prompt(f"{fact.prompt}{mask}", target=answer or fact.answers[0])


def shares_of(model, fact, answer=None):
    scores = nl.attribute(model, prompt_of(model, fact, answer), method="amig", components=("ffn",))
    return scores["ffn"] / scores["ffn"].max()


def neurons_above(shares, tau):
    return {(int(layer), "ffn", int(i)) for layer, i in np.argwhere(shares > tau)}


def sets_of(model, facts, taus=TAUS):
    """The four edits of a fact, given in both languages."""
    own = {
        fact.language: neurons_above(shares_of(model, fact), taus[fact.language]) for fact in facts
    }
    return own | {SHARED: own["en"] & own["xx"], IN_TURN: own["en"] | own["xx"]}


def plain(model, fact, neurons=(), change="suppress"):
    """One ordinary forward pass."""
    chosen = nl.NeuronSet(neurons)
    edit = {
        "suppress": nl.Suppress(chosen, "predicted"),
        "enhance": nl.Amplify(chosen, "predicted", factor=2.0),
    }[change]
    prompt = prompt_of(model, fact)
    return nl.predict(model, prompt, intervention=edit if neurons else None).probability


def named(own, name):
    return [fact for fact in own if fact.name == name]


def others_of(own, fact, about):
    """The facts that an edit of this one may be measured on, each in both languages."""
    names = dict.fromkeys(f.name for f in own if f.name != fact.name)
    found = [named(own, name) for name in names]
    same = about == "same relation"
    return [group for group in found if (group[0].relation == fact.relation) == same]


# --- Every edit, one at a time -------------------------------------------------------------------


@pytest.mark.long
def test_every_edit_is_measured_once_everywhere(ran):
    table = ran.found.tables["edits"]
    keys = ["fact", "edit", "change", "about", "language"]
    names = [name for _, name in PROMPTS]
    expected = set(product(names, EDITS, ("suppress", "enhance"), ABOUT, ("en", "xx")))
    assert set(table[keys].itertuples(index=False, name=None)) == expected
    assert len(table) == len(expected)
    assert dict(zip(table["fact"], table["relation"], strict=True)) == {
        name: relation for relation, name in PROMPTS
    }


@pytest.mark.long
def test_an_edit_does_what_a_plain_forward_pass_does(ran):
    table = ran.found.tables["edits"]
    for name in ("france", "fox"):
        facts = named(ran.own, name)
        sets = sets_of(ran.model, facts)
        assert min(len(sets["en"]), len(sets["xx"])) > 1
        rows = table[(table["fact"] == name) & (table["about"] == "fact")]
        for row in rows.itertuples():
            (fact,) = (f for f in facts if f.language == row.language)
            assert row.neurons == len(sets[row.edit])
            assert row.before == pytest.approx(plain(ran.model, fact), abs=2e-6)
            after = plain(ran.model, fact, sets[row.edit], row.change)
            assert row.after == pytest.approx(after, abs=2e-6)
        effects = (rows["after"] - rows["before"]).abs()
        assert effects.max() > 0.01


def test_the_union_counts_each_neuron_once(ran):
    own = ran.found.tables["edits"].groupby(["fact", "edit"])["neurons"].agg(["min", "max"])
    assert (own["min"] == own["max"]).all()
    wide = own["max"].unstack()
    pd.testing.assert_series_equal(
        wide[IN_TURN], wide["en"] + wide["xx"] - wide[SHARED], check_names=False
    )
    assert (wide[SHARED] > 0).any()


@pytest.mark.long
def test_the_same_edit_is_measured_on_one_other_known_fact_of_each_kind(ran):
    """Which one it is, its probability in both languages tells."""
    table = ran.found.tables["edits"]
    facts = named(ran.own, "dog")
    sets = sets_of(ran.model, facts)
    for about in ABOUT[1:]:
        rows = table[(table["fact"] == "dog") & (table["about"] == about)]
        before = rows.groupby("language")["before"].unique()
        fitting = [
            other
            for other in others_of(ran.own, facts[0], about)
            if all(
                before[f.language] == pytest.approx(plain(ran.model, f), abs=2e-6) for f in other
            )
        ]
        assert len(fitting) == 1
        for row in rows.itertuples():
            (fact,) = (f for f in fitting[0] if f.language == row.language)
            after = plain(ran.model, fact, sets[row.edit], row.change)
            assert row.after == pytest.approx(after, abs=2e-6)
        assert (rows["after"] != rows["before"]).any()


def test_random_sets_are_alike_but_other_neurons(ran):
    layers = Counter
    pairs = set()
    for _, sets, _ in ran.calls:
        assert len(sets[0]) == 0
        assert len(sets) == 1 + len(EDITS) * 5
        for first in range(1, len(sets), 5):
            edit, *random = sets[first : first + 5]
            own = layers(neuron.layer for neuron in edit)
            assert max(own.values(), default=0) <= 24  # half a layer: there are enough others
            for one in random:
                assert layers(neuron.layer for neuron in one) == own
                assert {neuron.component for neuron in one} <= {"ffn"}
                assert not set(one) & set(edit)
            pairs.add(tuple(map(frozenset, random)))
    for a, b in ((0, 1), (2, 3), (0, 2)):
        assert sum(random[a] != random[b] for random in pairs) > len(pairs) / 2


def test_half_of_the_random_sets_are_as_active(ran):
    """On the fact's own prompts, whose order tells the shards apart."""
    names = [name for _, name in PROMPTS]
    seen = list(dict.fromkeys(tuple(sets) for _, sets, _ in ran.calls))
    for shard, (name, sets) in enumerate(zip(names, seen, strict=True)):
        prompts = [ran.model.encode(prompt_of(ran.model, f)) for f in named(ran.own, name)]
        activity = Activity.of(ran.model, prompts, ("ffn",))
        for number in range(len(EDITS)):
            edit, *random = sets[1 + 5 * number : 6 + 5 * number]
            draws = statistics.seeds([0, shard, number], 2)
            assert random[:2] == [edit.matched_random(ran.model.sizes, one) for one in draws]
            assert random[2:] == [activity.matched(edit, one) for one in draws]


def test_random_is_the_mean_over_the_random_sets(ran):
    table = ran.found.tables["edits"]
    fact = named(ran.own, "france")[1]
    ids = ran.model.encode(prompt_of(ran.model, fact)).input_ids.tolist()
    # The fact itself comes first, before any for which it is the other one.
    calls = {factor: sets for own, sets, factor in reversed(ran.calls) if own == ids}
    assert calls.keys() == {0.0, 2.0}
    own = table[(table["fact"] == "france") & (table["about"] == "fact")]
    for row in own[own["language"] == "xx"].itertuples():
        at = 1 + 5 * EDITS.index(row.edit)
        sets = calls[0.0 if row.change == "suppress" else 2.0][at : at + 5]
        expected = [plain(ran.model, fact, list(one), row.change) for one in sets[1:]]
        assert row.random == pytest.approx(np.mean(expected[:2]), abs=2e-6)
        assert row.as_active == pytest.approx(np.mean(expected[2:]), abs=2e-6)


def test_random_sets_are_the_same_for_all_prompts_and_changes(ran):
    """One shard after the other; each begins with the edits of another fact."""
    seen = list(dict.fromkeys(tuple(sets) for _, sets, _ in ran.calls))
    assert len(seen) == len(PROMPTS)
    assert len(ran.calls) == len(PROMPTS) * len(ABOUT) * 2 * 2


def test_the_numbers_are_those_of_the_tables(ran):
    numbers, tables = ran.found.numbers, ran.found.tables
    assert numbers["facts"] == len(PROMPTS)
    assert numbers["left_out"] == ""
    assert numbers["first_tokens"] == 0
    assert numbers["taus"] == TAUS
    edits = tables["edits"]
    of_fact = edits[edits["about"] == "fact"]
    change = (of_fact["after"] - of_fact["before"]) / of_fact["before"]
    expected = change.groupby([of_fact["change"], of_fact["edit"], of_fact["language"]]).mean()
    for (kind, edit, language), value in expected.items():
        assert numbers["relative_change"][kind][edit][language] == pytest.approx(value)
    assert len(expected) == 16
    pd.testing.assert_frame_equal(tables["matrix"], matrix(edits))
    pd.testing.assert_frame_equal(tables["success"], success(edits))


@pytest.mark.long
def test_without_neurons_in_common_nothing_changes_and_it_is_counted(llama, tmp_path):
    """At this threshold a set is the best neuron: in common only where it is in both languages."""
    taus = dict.fromkeys(("en", "xx"), 0.999)
    one, two = (named(facts_of("llama"), name) for name in ("france", "dog"))
    assert not sets_of(llama, one, taus)[SHARED]
    # The same prompt in both languages has all in common.
    same = [two[0], Fact(two[0].prompt, two[0].answers, "animal", "dog", "xx")]
    assert len(sets_of(llama, same, taus)[SHARED]) == 1
    found, _ = run(llama, spec((*one, *same), taus=taus), tmp_path)
    assert found.numbers["empty"] == 1
    edits = found.tables["edits"].set_index(["fact", "edit"])
    empty = edits.loc[("france", SHARED)]
    assert (empty["neurons"] == 0).all()
    assert (empty["after"] == empty["before"]).all()
    for null in NULLS:
        assert (empty[null] == empty["before"]).all()
    assert (edits.loc[("dog", SHARED), "neurons"] == 1).all()
    assert (edits.loc[("dog", SHARED), "after"] != edits.loc[("dog", SHARED), "before"]).any()


# --- Which facts ---------------------------------------------------------------------------------


@pytest.mark.long
def test_one_relation_alone_has_no_unrelated_facts(llama, tmp_path):
    found, _ = run(llama, spec(facts_of("llama", ("capital",))), tmp_path)
    assert set(found.tables["edits"]["about"]) == {"fact", "same relation"}
    assert set(found.tables["matrix"]["about"]) == {"fact", "same relation"}
    assert "success" not in found.tables
    assert found.numbers["facts"] == 2


@pytest.mark.long
def test_one_fact_alone_is_measured_on_itself(llama, small, tmp_path):
    france = facts_of("llama")[:2]
    found, _ = run(llama, spec(france), tmp_path)
    assert set(found.tables["edits"]["about"]) == {"fact"}
    assert "success" not in found.tables
    # The others may be facts that are not edited themselves.
    edits = small.tables["edits"]
    assert set(edits["fact"]) == {"france"}
    assert set(edits["about"]) == set(ABOUT)
    assert (small.tables["success"]["facts"] == 1).all()


@pytest.mark.long
def test_facts_not_known_in_one_language_are_left_out_and_said(llama, tmp_path):
    own = (
        *facts_of("llama", ("capital",)),
        *a_fact("unknown", *UNKNOWN),
        *a_fact("lost", ("the z of", "a z of"), "fox", "Berlin"),
    )
    for fact in named(own, "unknown"):
        assert nl.predict(llama, prompt_of(llama, fact)).rank > 10
    found, _ = run(llama, spec(own, filtered=True), tmp_path / "known")
    assert found.numbers["facts"] == 2
    assert "1 that the model does not know" in found.numbers["left_out"]
    assert "1 that it cannot be asked" in found.numbers["left_out"]
    assert set(found.tables["edits"]["fact"]) == {"france", "london"}
    # Nor do they stand for the facts of another relation.
    assert set(found.tables["edits"]["about"]) == {"fact", "same relation"}
    states = found.tables["facts"].set_index(["fact", "language"])["state"]
    assert states["unknown", "en"] == states["unknown", "xx"] == "unknown"
    assert states["lost", "xx"] == "impossible"
    assert states["france", "xx"] == "used"


def test_without_the_filter_unknown_facts_are_edited_but_not_measured_beside_others(
    llama, tmp_path
):
    own = (*facts_of("llama")[:2], *a_fact("unknown", *UNKNOWN))
    found, _ = run(llama, spec(own), tmp_path)
    about = found.tables["edits"].groupby("fact")["about"].unique().map(set)
    assert about["france"] == {"fact"}
    assert about["unknown"] == {"fact", "other relation"}
    assert (found.tables["success"]["facts"] == 1).all()


def test_no_fact_in_all_languages_is_one_sentence(llama, tmp_path, sentence):
    lost = a_fact("lost", ("the z of", "a z of"), "fox", "Berlin")
    sentence(run, llama, spec(lost), tmp_path / "lost", says="in the vocabulary")
    unknown = spec(a_fact("unknown", *UNKNOWN), filtered=True)
    sentence(run, llama, unknown, tmp_path / "unknown", says="none of these facts")
    sentence(spec(languages=("en", "yy")).groups, says="yy")
    sentence(spec(fact="rome").groups, says="rome")


# --- Thresholds, order, repetition ---------------------------------------------------------------


def test_thresholds_of_ones_own_replace_the_published_ones():
    assert spec(languages=("en", "zh", "xx")).thresholds == {"en": 0.3, "zh": 0.2, "xx": 0.2}
    assert spec(taus={"en": 0.15}).thresholds == {"en": 0.15, "xx": 0.2}
    assert spec(taus={"xx": 0.5, "en": 0.1}).thresholds == {"en": 0.1, "xx": 0.5}
    assert spec(taus={"zh": 0.5}).thresholds == TAUS


def test_a_higher_threshold_never_enlarges_a_set(llama, small, tmp_path):
    counts = []
    for i, tau in enumerate((0.1, 0.5, 0.9)):
        asked = spec(facts_of("llama")[:2], taus={"en": tau})
        edits = run(llama, asked, tmp_path / str(i))[0].tables["edits"]
        counts.append(edits.groupby("edit")["neurons"].max())
    for lower, higher in pairwise(counts):
        assert (lower >= higher).all()
        assert lower["xx"] == higher["xx"]
    published = small.tables["edits"].groupby("edit")["neurons"].max()
    assert counts[0]["en"] > published["en"] > counts[2]["en"]
    assert counts[0]["xx"] == published["xx"]


def test_the_same_spec_gives_the_same_result(llama, small, tmp_path):
    again, _ = run(llama, spec(fact="france"), tmp_path)
    assert again.numbers == small.numbers
    assert again.tables.keys() == small.tables.keys()
    for name, table in small.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table)


def test_the_seed_draws_other_random_sets_and_nothing_of_the_edit(llama, small, tmp_path):
    other, _ = run(llama, spec(fact="france", seed=1), tmp_path)
    one, two = (
        found.tables["edits"].query("about == 'fact'").reset_index(drop=True)
        for found in (small, other)
    )
    nulls = list(NULLS)
    pd.testing.assert_frame_equal(one.drop(columns=nulls), two.drop(columns=nulls))
    assert (one[nulls] != two[nulls]).any().all()


def test_the_order_of_languages_does_not_change_what_an_edit_does(llama, small, tmp_path):
    turned, _ = run(llama, spec(fact="france", languages=("xx", "en")), tmp_path)
    keys = ["fact", "edit", "change", "about", "language"]
    one, two = (
        found.tables["edits"].set_index(keys)[["neurons", "before", "after"]].sort_index()
        for found in (small, turned)
    )
    pd.testing.assert_frame_equal(one, two, atol=2e-6)


def test_a_spec_goes_through_its_json():
    specs = {"cross_lingual_editing": CrossLingualEditingSpec}
    for one in (STUDY.default(), spec(), spec(taus={"en": 0.1}, wordings=3)):
        again = read_spec(one.to_json(), specs)
        assert again == one
        assert again.key == one.key
    keys = {spec().key, spec(taus={"en": 0.1}).key, spec(random_sets=3).key, spec(seed=1).key}
    assert len(keys) == 4


@pytest.mark.parametrize("wrong", [{"random_sets": 0}, {"wordings": 0}, {"languages": ("en",)}])
def test_a_spec_refuses_what_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        spec(**wrong)


# --- Several wordings ----------------------------------------------------------------------------


def wordings(*prompts, answers=("fox",)):
    """A fact in as many English wordings, and in one of the other language."""
    english = [Fact(prompt, answers, "animal", "a", "en") for prompt in prompts]
    return (*english, Fact("Paris Paris x", ("fox",), "animal", "a", "xx"))


def shares_found(model, own, count):
    asked = spec(own, wordings=count)
    found = in_languages(model, asked, asked.groups()[0], Context("cpu"))
    english = found.neurons[found.neurons["language"] == "en"]
    assert not english["place"].duplicated().any()
    shares = np.zeros((model.layers, model.sizes["ffn"]))
    shares[english["layer"], english["neuron"]] = english["share"]
    return found, shares


@pytest.mark.parametrize(("count", "reached"), [(4, 3), (3, 3), (2, 2), (1, 1)])
def test_a_share_is_what_seventy_percent_of_the_wordings_reach(llama, count, reached):
    own = wordings("the w of", "a quick lazy fox", "x y z", "the dog is")
    found, shares = shares_found(llama, own, count)
    each = np.stack([shares_of(llama, fact) for fact in own[:count]])
    # For every neuron, the highest level that enough of the wordings reach.
    expected = np.array(
        [
            max(level for level in levels if (levels >= level).sum() >= reached)
            for levels in each.reshape(count, -1).T
        ]
    ).reshape(each.shape[1:])
    np.testing.assert_allclose(shares, np.where(expected > 0.05, expected, 0), atol=1e-5)
    english = found.facts.set_index("language").loc["en"]
    assert english["prompt"] == "the w of"
    assert english["probability"] == pytest.approx(plain(llama, own[0]), abs=2e-6)


def test_a_wording_that_cannot_be_asked_counts_for_nothing(llama):
    own = wordings("the w of", "a [MASK] fox", "a quick lazy fox")
    _, shares = shares_found(llama, own, 3)
    expected = np.minimum(shares_of(llama, own[0]), shares_of(llama, own[2]))
    np.testing.assert_allclose(shares, np.where(expected > 0.05, expected, 0), atol=1e-5)


def test_every_wording_is_scored_toward_the_answer_that_the_model_prefers(llama):
    own = wordings("the quick fox jumps over", "the lazy dog is", answers=("fox", "jumps"))
    for fact in own[:2]:
        ranks = [nl.predict(llama, prompt_of(llama, fact, a)).rank for a in ("fox", "jumps")]
        assert ranks[1] < ranks[0]
    _, shares = shares_found(llama, own, 2)
    expected = np.minimum(*(shares_of(llama, fact, "jumps") for fact in own[:2]))
    np.testing.assert_allclose(shares, np.where(expected > 0.05, expected, 0), atol=1e-5)


# --- The tables by hand --------------------------------------------------------------------------


def edits(*rows, **common):
    """Rows (fact, about, change, before, after), one edit in one language unless said."""
    table = pd.DataFrame(rows, columns=["fact", "about", "change", "before", "after"])
    settings = {"relation": "r", "edit": "en", "language": "en", "neurons": 3}
    settings |= {"random": table["before"], "as_active": table["before"]}
    return table.assign(**settings | common)


def test_the_matrix_has_means_of_relative_changes():
    """They are -.5 and +1; the mean probabilities fall by nearly half."""
    table = edits(
        ("a", "fact", "suppress", 0.5, 0.25),
        ("b", "fact", "suppress", 0.01, 0.02),
        neurons=[4, 6],
        random=[0.55, 0.008],
        as_active=[0.4, 0.013],
    )
    (row,) = matrix(table).to_dict("records")
    assert row["relative"] == pytest.approx(0.25)
    assert row["random"] == pytest.approx((0.1 - 0.2) / 2)
    assert row["as_active"] == pytest.approx((-0.2 + 0.3) / 2)
    assert row["beyond_random"] == pytest.approx((-0.6 + 1.2) / 2)
    assert row["beyond_as_active"] == pytest.approx((-0.3 + 0.7) / 2)
    assert (row["beyond_random_low"], row["beyond_random_high"]) == pytest.approx((-0.6, 1.2))
    assert (row["before"], row["after"]) == pytest.approx((0.255, 0.135))
    assert (row["facts"], row["neurons"]) == (2, 5)
    # Of two facts a quarter of the resamples are the lower one twice, a quarter the higher one.
    assert (row["relative_low"], row["relative_high"]) == pytest.approx((-0.5, 1.0))
    assert (row["random_low"], row["random_high"]) == pytest.approx((-0.2, 0.1))


@pytest.mark.parametrize(
    ("change", "beyond", "null", "is_clear"),
    [
        (-0.5, {"random": (-0.5, -0.6, -0.4), "as_active": (-0.1, -0.3, 0.1)}, "as_active", False),
        (-0.5, {"random": (-0.2, -0.3, -0.1), "as_active": (-0.4, -0.5, -0.3)}, "random", True),
        (-0.5, {"random": (-0.4, -0.5, -0.3), "as_active": (0.2, 0.1, 0.3)}, "as_active", False),
        (1.5, {"random": (1.4, 1.0, 2.0), "as_active": (0.7, 0.2, 0.9)}, "as_active", True),
        (1.5, {"random": (0.9, math.nan, math.nan), "as_active": (1, 1, 1)}, "random", False),
    ],
)
def test_the_stronger_null_is_the_one_to_be_beaten(change, beyond, null, is_clear):
    row = {"relative": change, "facts": 40}
    for name, values in beyond.items():
        ends = ("", "_low", "_high")
        row |= {f"beyond_{name}{end}": value for end, value in zip(ends, values, strict=True)}
    assert study.stronger(pd.Series(row)) == null
    assert study.clear(pd.Series(row)) == is_clear
    assert not study.clear(pd.Series(row | {"facts": 5}))  # so few agree by chance


def test_no_fact_is_left_out_however_large_its_change():
    """The authors' code drops changes above 20 (suppressed) and from 250 on (enhanced)."""
    rows = [
        (fact, "fact", change, before, before * (1 + times))
        for change in ("suppress", "enhance")
        for fact, before, times in (("a", 0.001, 899), ("b", 0.01, 49), ("c", 0.5, -0.5))
    ]
    found = matrix(edits(*rows)).set_index("change")
    for change in ("suppress", "enhance"):
        assert found.loc[change, "relative"] == pytest.approx((899 + 49 - 0.5) / 3)
        assert found.loc[change, "facts"] == 3


def test_the_matrix_mixes_neither_edits_nor_changes_nor_languages_nor_facts():
    keys = list(product(["en", SHARED], ["suppress", "enhance"], ABOUT, ["en", "xx"]))
    parts = [
        edits(
            ("a", about, change, 0.1, 0.1 * (1 + i)),
            ("b", about, change, 0.2, 0.2 * (3 + i)),
            edit=edit,
            language=language,
        )
        for i, (edit, change, about, language) in enumerate(keys)
    ]
    found = matrix(pd.concat(parts).sample(frac=1, random_state=0))
    found = found.set_index(["edit", "change", "about", "language"])["relative"]
    assert found.to_dict() == pytest.approx({key: i + 1 for i, key in enumerate(keys)})


def test_intervals_hold_the_mean_and_shrink_to_it_where_all_facts_are_alike():
    draw = np.random.default_rng(0)
    before, after = draw.uniform(0.1, 0.9, (2, 30))
    random = draw.uniform(0.1, 0.9, 30)
    rows = [
        (f"f{i}", "fact", "suppress", *pair)
        for i, pair in enumerate(zip(before, after, strict=True))
    ]
    (row,) = matrix(edits(*rows, random=random)).to_dict("records")
    for name in ("relative", "random"):
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    alike = [(f"f{i}", "fact", "suppress", 0.4, 0.1) for i in range(9)]
    (row,) = matrix(edits(*alike, random=0.5)).to_dict("records")
    for name, value in (("relative", -0.75), ("random", 0.25)):
        for end in ("", "_low", "_high"):
            assert row[name + end] == pytest.approx(value)


def changes(**own):
    """``fact=(suppressed, its unrelated one, enhanced, its unrelated one)``: relative changes."""
    kinds = list(product(("suppress", "enhance"), ("fact", "other relation")))
    return [
        (fact, about, change, 0.1, 0.1 + 0.1 * value)
        for fact, values in own.items()
        for (change, about), value in zip(kinds, values, strict=False)
        if value is not None
    ]


def ends_of(row):
    """The interval of the success rate."""
    return [next(row[name] for name in row if name.endswith(end)) for end in ("low", "high")]


def test_the_success_rate_adds_up_ratios_of_means():
    table = edits(
        *changes(a=(-0.5, 0.05, 1.0, -0.1), b=(-0.3, 0.15, 3.0, -1.9)),
        ("a", "same relation", "suppress", 0.1, 0.9),
        ("a", "same relation", "enhance", 0.1, 0.0),
    )
    (row,) = success(table).to_dict("records")
    assert (row["edit"], row["language"], row["facts"]) == ("en", "en", 2)
    parts = [row[f"{c}_{part}"] for c in study.CHANGES for part in ("related", "unrelated")]
    assert parts == pytest.approx([-0.4, 0.1, 2.0, -1.0])
    # Signs are kept, up to the sum.
    assert row["suppress_ratio"] == pytest.approx(-4.0)
    assert row["enhance_ratio"] == pytest.approx(-2.0)
    assert row["success"] == pytest.approx(6.0)
    # Either fact twice: a gives 10 + 10, b gives 2 + 3 / 1.9.
    assert ends_of(row) == pytest.approx([2 + 3 / 1.9, 20.0])


def test_the_success_rate_is_of_each_edit_and_language():
    parts = [
        edits(*changes(a=(-i, 1.0, i, 1.0)), edit=edit, language=language)
        for i, (edit, language) in enumerate(product(EDITS, ("en", "xx")), start=1)
    ]
    found = success(pd.concat(parts)).set_index(["edit", "language"])["success"]
    assert found.to_dict() == pytest.approx(
        {key: 2.0 * i for i, key in enumerate(product(EDITS, ("en", "xx")), start=1)}
    )


def test_facts_without_an_unrelated_one_do_not_count_for_the_success_rate():
    rows = changes(a=(-0.5, 0.1, 1.0, 0.2), b=(-0.9, None, 9.0, None))
    (row,) = success(edits(*rows)).to_dict("records")
    assert row["facts"] == 1
    assert row["success"] == pytest.approx(10.0)


def test_the_interval_of_the_success_rate_shrinks_to_it_where_all_facts_are_alike():
    alike = changes(**{f"f{i}": (-0.5, 0.1, 1.0, -0.2) for i in range(8)})
    (row,) = success(edits(*alike)).to_dict("records")
    assert [row["success"], *ends_of(row)] == pytest.approx([10.0] * 3)
    draw = np.random.default_rng(0)
    mixed = changes(**{f"f{i}": draw.uniform(0.5, 1.5, 4) for i in range(40)})
    (row,) = success(edits(*mixed)).to_dict("records")
    low, high = ends_of(row)
    assert low < row["success"] < high


def test_the_interval_is_named_after_what_it_is_of():
    found = success(edits(*changes(a=(-0.5, 0.1, 1.0, 0.2))))
    assert {"success", "success_low", "success_high"} <= set(found)


@pytest.mark.parametrize(
    ("own", "ratio", "rate"),
    [
        ({"a": (-0.5, 0, 1.0, 0.5), "b": (-0.3, 0, 1.0, 0.5)}, -math.inf, math.inf),
        ({"a": (0, 0, 0, 0)}, math.nan, math.nan),
        ({"a": (0, 0, 0, 0), "b": (0, 0, 0, 0)}, math.nan, math.nan),
        ({"a": (-0.5, 0, 1.0, 0.5), "b": (-0.3, 0.2, 1.0, 0.5)}, -4.0, 6.0),
        ({"a": (0, 0.5, 0, 0.5)}, 0.0, 0.0),
    ],
    ids=["unrelated-zero", "one-empty", "all-empty", "some-zero", "related-zero"],
)
def test_a_denominator_of_zero_is_neither_an_exception_nor_a_warning(own, ratio, rate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = success(edits(*changes(**own))).to_dict("records")
    assert row["suppress_ratio"] == pytest.approx(ratio, nan_ok=True)
    assert row["success"] == pytest.approx(rate, nan_ok=True)
    low, high = ends_of(row)
    if math.isfinite(rate) and row["facts"] > 1:
        assert low <= row["success"]
        assert high >= row["success"]


@pytest.mark.parametrize("after", [0.0, 0.1])
def test_what_had_probability_zero_has_no_relative_change(after):
    rows = [("a", "fact", "suppress", 0.0, after), ("b", "fact", "suppress", 0.1, 0.2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = matrix(edits(*rows)).to_dict("records")
        (none,) = matrix(edits(rows[0])).to_dict("records")
    assert row["relative"] == pytest.approx(1.0)
    assert row["facts"] == 1
    assert none["facts"] == 0
    assert math.isnan(none["relative"])
