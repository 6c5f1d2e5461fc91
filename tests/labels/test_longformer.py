"""The paper's simulator on a small Longformer drawn at random; no weights are downloaded."""

import json
import math
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import pearsonr
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import LongformerConfig, LongformerForSequenceClassification

from neuronlab.errors import UserError
from neuronlab.labels import longformer, longformer_training
from neuronlab.labels.longformer import (
    Pair,
    Settings,
    Simulator,
    load,
    save,
    simulate,
    text,
    untrained,
)
from neuronlab.labels.longformer_training import pearson, split, targets, train
from neuronlab.labels.prompts import Example
from neuronlab.runs import Cancelled

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORDS = (
    "euron:",
    "ypothesis:",
    "equence:",
    "many",
    "n",
    "h",
    "redict",
    "the",
    "activation",
    "from",
)
QUICK = Settings(epochs=16, batch=16, rate=5e-3, dropout=0.0, smoothing=0.0, tokens=200)


def tokenizer():
    """Words, a letter of a sequence at a time, with RoBERTa's special tokens."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate([*special, *LETTERS, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("[A-Z]"), "isolated")]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )


def tiny(settings=QUICK, labels=11):
    config = LongformerConfig(
        vocab_size=80,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        attention_window=[8, 8],
        max_position_embeddings=258,
        type_vocab_size=1,
        pad_token_id=1,
        num_labels=labels,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )
    torch.manual_seed(0)
    return Simulator(LongformerForSequenceClassification(config), tokenizer(), settings)


def example(sequence, activation=0.0, **features):
    return Example(f"p{sequence[:4]}", sequence, activation, features)


def planted(neurons=10, proteins=20, seed=0):
    """A neuron's activation is the share of the residue, K or W, that its hypothesis names."""
    draw = np.random.default_rng(seed)
    sequences = []
    for i in range(proteins):
        rich = "KW"[i % 2] * int(draw.integers(7, 13))
        sequences.append("".join(draw.permutation([*rich, *draw.choice([*"AG"], 12 - len(rich))])))
    return [
        Pair(f"neuron {n}", f"many {r}", example(s, s.count(r) / 12 * (n + 1)))
        for n, r in enumerate("KW" * (neurons // 2))
        for s in sequences
    ]


def grid(neurons, proteins):
    return [
        Pair(f"n{n}", "h", example(f"{'ACDEFGHIKL'[p % 10]}{'MNPQRSTVWY'[p // 10]}", float(p)))
        for n in range(neurons)
        for p in range(proteins)
    ]


# --- Split ---------------------------------------------------------------------------------------


def own_proteins(neurons=20, each=8, seed=0):
    """As in the paper: every neuron has its own exemplars, of which a few are others' too."""
    draw = np.random.default_rng(seed)
    return [
        Pair(f"n{n}", "h", example("A" + "".join(draw.choice([*"CDEFG"], 3)), float(k)))
        for n in range(neurons)
        for k in range(each)
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pairs", [grid(10, 30), own_proteins(), own_proteins(60, 3)])
def test_no_neuron_and_no_protein_is_on_both_sides(pairs, seed):
    parts = split(pairs, 0.2, seed)
    for what in (lambda p: p.neuron, lambda p: p.protein.sequence):
        sides = [{what(pairs[i]) for i in own} for own in (parts.train, parts.test)]
        assert not sides[0] & sides[1]
    together = [*parts.train, *parts.test, *parts.dropped]
    assert sorted(together) == list(range(len(pairs)))
    tested = {pairs[i].neuron for i in parts.test}
    assert len(tested) <= round(0.2 * len({p.neuron for p in pairs}))
    again = split(pairs, 0.2, seed)
    assert (again.train == parts.train).all()
    assert (again.test == parts.test).all()


def test_a_pair_is_dropped_only_where_it_must_be():
    pairs = grid(10, 30)
    parts = split(pairs, 0.2)
    assert (len(parts.test), len(parts.train)) == (2 * 6, 8 * 24)
    # Neurons that share no protein lose none.
    apart = [Pair(f"n{i // 4}", "h", example("A" * (i + 1), 1.0)) for i in range(40)]
    parts = split(apart, 0.2)
    assert (len(parts.test), len(parts.train), len(parts.dropped)) == (8, 32, 0)


def test_proteins_of_two_names_and_one_sequence_are_one():
    pairs = [
        Pair(f"n{n}", "h", Example(f"{n} {p}", "ACDEFGHIKL"[p] * 3, 1.0, {}))
        for n in range(5)
        for p in range(10)
    ]
    parts = split(pairs)
    sides = [{pairs[i].protein.sequence for i in own} for own in (parts.train, parts.test)]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize("pairs", [[], grid(1, 10), grid(10, 1)])
def test_too_few_to_split_is_a_sentence(pairs):
    with pytest.raises(UserError, match="split"):
        split(pairs)


# --- What it reads, and targets ------------------------------------------------------------------


def test_targets_are_tenths_of_the_neurons_own_maximum():
    pairs = [
        *(Pair("a", "h", example("A", x)) for x in (4.0, 2.0, 0.9, -3.0, 0.0)),
        *(Pair("b", "h", example("A", x)) for x in (0.01, 0.005)),
        *(Pair("never", "h", example("A", x)) for x in (-1.0, -2.0, 0.0)),
    ]
    assert targets(pairs).tolist() == [10, 5, 2, 0, 0, 10, 5, 0, 0, 0]


def test_only_the_authors_text_names_the_neuron():
    pair = Pair("layer_2_neuron_9", "zinc\nfingers", example("MKT", gravy=-0.5, charge=math.nan))
    own, theirs = text(pair), text(pair, "authors")
    assert "neuron_9" not in own
    assert "neuron_9" in theirs
    assert "zinc fingers" in own
    assert "gravy -0.5\n" in own
    assert "charge" not in own
    assert own.endswith("MKT")


def test_a_long_text_loses_only_the_end_of_the_sequence():
    simulator = tiny(Settings(tokens=120))
    (ids,) = longformer.encoded(simulator, [Pair("n", "many K", example("A" * 120 + "W" * 300))])
    assert len(ids) == 120
    read = simulator.tokenizer.convert_ids_to_tokens(ids)
    assert read[1:5] == ["H", "ypothesis:", "many", "K"]
    assert "W" not in read
    simulator = tiny(Settings())  # never more than the model has positions
    assert len(longformer.encoded(simulator, [Pair("n", "h", example("A" * 600))])[0]) == 256


# --- Pearson -------------------------------------------------------------------------------------


def test_r_is_scipys():
    draw = np.random.default_rng(0)
    for n in (3, 10, 100):
        a, b = draw.normal(size=(2, n))
        assert pearson(a, b) == pytest.approx(pearsonr(a, b)[0])
        assert pearson(3 * a - 2, a) == pytest.approx(1)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0, 1, 1], [1.0, 2, 3]),
        ([1.0, 2, 3], [0.0, 0, 0]),
        ([0.1 + 0.2, 0.3, 0.3], [1.0, 2, 3]),
        ([1.0, 2], [1.0, 2]),
        ([], []),
    ],
)
def test_there_is_no_r_of_what_is_constant(a, b):
    assert math.isnan(pearson(np.array(a), np.array(b)))


# --- Training ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned():
    pairs = planted()
    return pairs, train(pairs, base=tiny(), settings=QUICK, device="cpu")


@pytest.mark.long
def test_it_learns_a_planted_rule_for_neurons_and_proteins_it_never_saw(learned):
    pairs, trained = learned
    first, last = trained.curve[0]["loss"], np.mean([row["loss"] for row in trained.curve[-10:]])
    assert first > 2
    assert last < 0.5 * first
    proteins = [example(s) for s in ("KKKKKKKKKKKA", "GWWWWWWWWWWW")]
    k, w = (simulate(trained.simulator, f"many {x}", proteins) for x in "KW")
    # The hypothesis decides, not only the protein.
    assert k[0] > k[1] + 2
    assert w[1] > w[0] + 2
    assert min(trained.r.values()) > 0.8
    assert set(trained.r) == {pairs[i].neuron for i in trained.parts.test}


def test_the_curve_and_r_are_those_of_the_test_part(learned):
    pairs, trained = learned
    steps = math.ceil(len(trained.parts.train) / QUICK.batch)
    assert [row["step"] for row in trained.curve] == list(range(steps * QUICK.epochs))
    looks = [row for row in trained.curve if "test_r" in row]
    assert [row["epoch"] for row in looks] == list(range(QUICK.epochs))
    assert looks[-1]["test_r"] == pytest.approx(np.nanmean(list(trained.r.values())))
    for neuron, r in trained.r.items():
        own = [pairs[i] for i in trained.parts.test if pairs[i].neuron == neuron]
        seen = simulate(trained.simulator, own[0].hypothesis, [p.protein for p in own])
        true = [p.protein.activation for p in own]
        assert r == pytest.approx(pearsonr(seen, true)[0], abs=1e-3)


def test_the_same_seed_gives_the_same_simulator():
    settings = Settings(epochs=1, rate=1e-3, dropout=0.3, tokens=200)
    pairs = planted(5, 10)
    runs = []
    for noise in (0, 1):
        base = tiny(settings)
        torch.manual_seed(noise)
        runs.append(train(pairs, base=base, settings=settings))
    assert runs[0].curve == runs[1].curve
    other = train(pairs, base=tiny(settings), settings=Settings(epochs=1, rate=1e-3, seed=1))
    assert other.curve != runs[0].curve


def test_training_is_the_textbooks(monkeypatch):
    """The loss and the first step against AdamW and cross entropy written out."""
    settings = Settings(epochs=1, batch=1_000, rate=1e-3, dropout=0.0, tokens=200)
    pairs = planted(5, 10)
    simulator = tiny(settings)
    before = {k: v.clone() for k, v in simulator.hf.named_parameters()}
    parts = split(pairs, settings.held_out, settings.seed)
    texts = [text(pairs[i]) for i in parts.train]
    batch = simulator.tokenizer(texts, padding=True, return_tensors="pt")
    logits = simulator.hf(batch.input_ids, attention_mask=batch.attention_mask).logits
    smooth = torch.full((len(texts), 11), 0.1 / 11)
    smooth[range(len(texts)), targets(pairs)[parts.train]] += 0.9
    loss = -(smooth * logits.log_softmax(-1)).sum(-1).mean()
    gradients = dict(
        zip(
            before,
            torch.autograd.grad(loss, list(simulator.hf.parameters()), allow_unused=True),
            strict=True,
        )
    )
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values() if g is not None))
    trained = train(pairs, base=simulator, settings=settings)
    assert trained.curve[0]["loss"] == pytest.approx(loss.item(), rel=1e-4)
    for name in ("classifier.out_proj.weight", "longformer.embeddings.LayerNorm.weight"):
        g = gradients[name] * min(1, 1 / norm)
        decay = 0.01 if g.dim() > 1 else 0.0
        expected = before[name] * (1 - 1e-3 * decay) - 1e-3 * g / (g.abs() + 1e-8)
        now = dict(simulator.hf.named_parameters())[name]
        torch.testing.assert_close(now, expected, rtol=0, atol=3e-5)


def test_the_rate_falls_along_a_cosine():
    optimizer, schedule = longformer_training._optimizer(
        torch.nn.Linear(2, 2), Settings(rate=0.5), 10
    )
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.25 * (1 + math.cos(math.pi * k / 10)) for k in range(10)])


def test_training_reports_and_can_be_cancelled():
    settings = Settings(epochs=2, batch=4, tokens=100)
    heard, rows, calls = [], [], []
    pairs = planted(5, 10)
    train(
        pairs,
        base=tiny(settings),
        settings=settings,
        progress=lambda fraction, words: heard.append(fraction),
        record=rows.append,
    )
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert len(rows) == len(heard)

    def check():
        calls.append(0)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(pairs, base=tiny(settings), settings=settings, check=check)
    assert len(calls) == 3


# --- Predicting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["neuronlab", "authors"])
def test_predictions_are_the_classes_of_each_text_alone(variant):
    simulator = tiny(Settings(tokens=200, batch=4, variant=variant))
    with torch.no_grad():  # so that classes differ by protein
        for parameter in simulator.hf.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    draw = np.random.default_rng(0)
    proteins = [example("".join(draw.choice([*"AGKW"], n))) for n in (5, 30, 3, 70, 12)]
    seen = simulate(simulator, "many K", proteins, neuron="n")
    simulator.hf.eval()
    for protein, value in zip(proteins, seen, strict=True):
        ids = simulator.tokenizer(
            text(Pair("n", "many K", protein), variant), return_tensors="pt"
        ).input_ids
        p = simulator.hf(ids).logits[0].softmax(-1).detach()
        expected = p.argmax() if variant == "authors" else (p * torch.arange(11)).sum()
        assert value == pytest.approx(float(expected), abs=1e-3)
    assert np.ptp(seen) > 0 or variant == "authors"


def test_true_activations_are_not_read():
    proteins = [[example("AKGW", a), example("GGKA", -a)] for a in (0.0, 9.0)]
    one, other = (simulate(tiny(), "many K", own) for own in proteins)
    assert (one == other).all()
    assert simulate(tiny(), "many K", []).shape == (0,)


# --- Keeping -------------------------------------------------------------------------------------


def test_a_kept_simulator_predicts_the_same(tmp_path):
    simulator = tiny(Settings(tokens=77, variant="authors"))
    save(simulator, tmp_path / "a" / "simulator")
    back = load(tmp_path / "a" / "simulator", device="cpu")
    assert back.settings == simulator.settings
    proteins = [example("AKGW" * k) for k in (1, 2, 3)]
    # In classes: the expectation of the other variant sees every weight.
    plain = [Simulator(s.hf, s.tokenizer, QUICK) for s in (simulator, back)]
    one, other = (simulate(s, "many K", proteins) for s in plain)
    np.testing.assert_allclose(one, other, atol=1e-6)
    kinds = {path.suffix for path in (tmp_path / "a" / "simulator").iterdir()}
    assert ".safetensors" in kinds
    assert not kinds & {".bin", ".pt", ".pkl"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["simulator"]
    with pytest.raises(UserError, match="another folder"):
        save(simulator, tmp_path / "a" / "simulator")


def test_a_base_is_read_from_a_folder_and_gets_a_head(tmp_path):
    base = tiny(labels=3)
    base.hf.longformer.save_pretrained(tmp_path / "base")
    base.tokenizer.save_pretrained(tmp_path / "base")
    made = untrained(str(tmp_path / "base"), Settings(dropout=0.25, seed=4), "cpu")
    assert made.hf.config.num_labels == 11
    assert {m.p for m in made.hf.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}
    own, theirs = (s.hf.longformer.state_dict() for s in (made, base))
    assert all(torch.equal(own[k], theirs[k]) for k in theirs if "pooler" not in k)
    heads = [
        untrained(str(tmp_path / "base"), Settings(seed=s), "cpu").hf.classifier.dense.weight
        for s in (4, 4, 5)
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def test_a_pickle_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "gone off"))
    save(tiny(), tmp_path / "s")
    (tmp_path / "s" / "model.safetensors").unlink()
    (tmp_path / "s" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    for use in (load, lambda folder: untrained(str(folder))):
        with pytest.raises(UserError, match="cannot be loaded"):
            use(tmp_path / "s")
    assert not (tmp_path / "gone off").exists()


@pytest.mark.parametrize("damage", ["{", "[]", '{"epoch": 1}', None])
def test_a_damaged_simulator_is_a_sentence(tmp_path, damage):
    save(tiny(), tmp_path / "s")
    if damage is None:
        (tmp_path / "s" / "model.safetensors").write_bytes(b"\x00" * 50)
    else:
        (tmp_path / "s" / "simulator.json").write_text(damage)
    with pytest.raises(UserError, match="cannot be loaded"):
        load(tmp_path / "s")


def test_what_is_no_simulator_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no simulator"):
        load(tmp_path)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="no Longformer"):
        untrained(str(tmp_path / "bert"))
    shutil.rmtree(tmp_path / "bert")
    monkeypatch.setattr(longformer, "hub_reachable", lambda: False)
    with pytest.raises(UserError, match="out of reach"):
        untrained("allenai/longformer-not-on-this-machine")
