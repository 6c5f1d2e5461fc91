"""Labels: planted neurons, correlations by hand, and that nothing leaks."""

import copy
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_with, watched
from pydantic import ValidationError
from scipy.stats import false_discovery_control

from neuronlab.labels import chat_server, endpoint, longformer, prompts
from neuronlab.labels.exemplars import pooled
from neuronlab.labels.proteins import DescribedProteins
from neuronlab.labels.statistics import candidates
from neuronlab.models import sentences
from neuronlab.proteins import corpora, features
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.runs import Context, Result, Store, read_spec, run_study
from neuronlab.studies import exemplars, neuron_labels
from neuronlab.studies.exemplars import CHOSEN, EXPLAINED, JUDGED
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, NeuronLabelsStudy

STUDY = NeuronLabelsStudy()
ROW = ["model", "layer", "component", "neuron", "label", "source", "correlation"]
KEY = "sk-very-secret-0123456789"
ANNOTATION = "function: methanogenesis"
K_UNIT, O_UNIT, LOW_UNIT, DEAD = 0, 1, 2, 3


def corpus(count=240, seed=0, annotated=True):
    """Proteins of 30 residues; those with pyrrolysine (O, which no feature counts) do something."""
    draw = np.random.default_rng(seed)
    found = []
    for i in range(count):
        likes = draw.dirichlet(np.full(20, 2.0))
        letters = draw.choice([*"ACDEFGHIKLMNPQRSTVWY"], 30, p=likes)
        words = [f"organism: {draw.choice(['yeast', 'man', 'mouse'])}"]
        if i % 5 == 0:
            letters[draw.permutation(30)[:3]] = "O"
            words.append(ANNOTATION)
        found.append(AnnotatedProtein(f"p{i}", "".join(letters), tuple(words) * annotated))
    return found


OWN = corpus()
FEATURES = features.table(OWN)


def planted(model):
    """Units of the first layer that see single residues: K, O, and all but W; and one that is dead.

    Without the first layer's attention the FFN reads each residue alone; the weights that give a
    unit its wanted inputs are the solution of linear equations, one per token.
    """
    hf = model.hf
    block = hf.esm.encoder.layer[0]
    vocabulary = model.tokenizer.get_vocab()
    with torch.no_grad():
        block.attention.output.dense.weight.zero_()
        block.attention.output.dense.bias.zero_()
        letters = [x for x in vocabulary if len(x) == 1 and x.isalpha()]
        ids = torch.tensor([[vocabulary["<cls>"], *map(vocabulary.get, letters)]])
        seen = []
        handle = block.intermediate.dense.register_forward_pre_hook(
            lambda m, args: seen.append(args[0][0, 1:])
        )
        hf(input_ids=ids)
        handle.remove()
        inputs = torch.cat([seen[0], torch.ones(len(letters), 1)], 1).double()
        wanted = torch.zeros(len(letters), 4, dtype=torch.float64)
        for row, letter in enumerate(letters):
            wanted[row, K_UNIT] = 4.0 * (letter == "K")
            wanted[row, O_UNIT] = 4.0 * (letter == "O")
            wanted[row, LOW_UNIT] = 4.0 * (letter != "W")
        solved = torch.linalg.lstsq(inputs, wanted, driver="gelsd").solution
        assert (inputs @ solved - wanted).abs().max() < 1e-3
        block.intermediate.dense.weight[:4] = solved[:-1].T.float()
        block.intermediate.dense.bias[:4] = solved[-1].float()
    return model


@pytest.fixture(scope="module")
def planted_model(tiny, twin):
    return planted(twin(tiny("esm", "masked")))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def model(planted_model, home, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(home))
    monkeypatch.delenv(endpoint.ADDRESS, raising=False)
    corpora._read.cache_clear()
    return planted_model


def spec(own=OWN, **changes):
    settings = {"model": "x", "corpus": corpora.keep("own", own), "keep": 20, "held_out": 80}
    return NeuronLabelsSpec(**settings | changes)


def run(model, asked, home, **context):
    store = Store(home / "runs")
    result = run_study(STUDY, asked, store, context_with(model, **context))
    store.save(asked, result, seconds=1)
    return store.load(asked.key)[1]


@pytest.fixture
def ran(model, home):
    """The default explainer and simulator; computed once, then read from the store."""
    store = Store(home / "runs")
    return store.load(spec().key)[1] if store.has(spec().key) else run(model, spec(), home)


@pytest.fixture
def given(ran, home):
    return Store(home / "runs").load(spec().exemplars.key)[1]


def layer_of(given, layer=0, asked=None):
    return STUDY.run_shard(asked or spec(), ("ffn", layer), Context(given=[given])).tables


def test_previews_are_the_labels_of_the_first_layers(model, tmp_path, home):
    asked = spec(per_layer=8)
    result, previews = watched(model, asked, tmp_path)
    layers = model.layers
    assert [each.words for each in previews] == [
        f"{i} of {layers} layers" for i in range(1, layers + 1)
    ]
    place = ["layer", "neuron"]
    # What a neuron is called may change with q, which is over all neurons; what was tried may not.
    tried = result.tables["hypotheses"]
    for count, each in enumerate(previews, start=1):
        first = tried[tried["layer"] < count].reset_index(drop=True)
        pd.testing.assert_frame_equal(each.result.tables["hypotheses"], first)
        assert each.result.numbers["neurons"] == 8 * count
        assert len(each.result.tables["labels"][place].drop_duplicates()) == 8 * count


# --- Planted neurons -----------------------------------------------------------------------------


def test_planted_neurons_get_the_right_label(ran):
    labels = ran.tables["labels"]
    first = labels[labels["layer"] == 0].set_index("neuron")
    for unit, label in (
        (K_UNIT, "high residue K"),
        (O_UNIT, ANNOTATION),
        (LOW_UNIT, "low residue W"),
    ):
        own = first.loc[unit]
        assert own["label"] == label
        assert own["correlation"] > 0.95
        assert abs(own["control_correlation"]) < 0.6
        assert own["q"] < 1e-4
    assert first.loc[O_UNIT, ["concept", "group"]].tolist() == [ANNOTATION, "function"]
    assert first.loc[K_UNIT, ["concept", "group"]].tolist() == ["Residue K", "sequence"]
    assert first.loc[K_UNIT, "effect"] > 0.9
    assert first.loc[LOW_UNIT, "effect"] < -0.7
    dead = first.loc[DEAD]
    assert dead["label"] == ""
    assert dead[["correlation", "control_correlation", "effect", "q"]].isna().all()


def test_every_neuron_has_a_row(ran, model):
    labels = ran.tables["labels"]
    assert {*ROW, "control_correlation", "concept", "group", "effect", "q"} <= set(labels.columns)
    assert len(labels) == 3 * model.sizes["ffn"] == ran.numbers["neurons"]
    assert not labels.duplicated(["layer", "component", "neuron"]).any()
    assert set(labels["source"]) == {"statistics"}
    assert set(labels["component"]) == {"ffn"}
    named = labels[labels["label"] != ""]
    numbers = ran.numbers
    assert (numbers["labelled"], numbers["layers"]) == (len(named), 3)
    assert numbers["distinct"] == named["label"].nunique()
    share = np.unique(named["label"], return_counts=True)[1] / len(named)
    assert numbers["entropy"] == pytest.approx(-(share * np.log2(share)).sum())
    assert numbers["correlation"] == pytest.approx(np.median(named["correlation"]))
    assert named["correlation"].notna().all()


def prediction(asked, text):
    """Standard scores of the traits in a label, from the sequences anew: all proteins."""
    side = asked.sides(OWN)
    total = np.zeros(len(OWN))
    for part in text.split(" and "):
        sign, _, rest = part.partition(" ")
        values = None
        for name, feature in features.FEATURES.items():
            title = feature.title
            lowered = title[0].lower() + title[1:] if not title[:2].isupper() else title
            if sign in ("high", "low") and lowered == rest:
                values = FEATURES[name].to_numpy()
        if values is None:
            carried = part.removeprefix("not ")
            values = np.array([float(carried in p.annotations) for p in OWN])
            sign = "low" if part.startswith("not ") else "high"
        rest = values[side == EXPLAINED]
        total += (1 if sign == "high" else -1) * (values - rest.mean()) / rest.std()
    return total


def test_the_correlations_are_those_by_hand(ran, model):
    asked = spec()
    side = asked.sides(OWN)
    whole = pooled(model, [p.sequence for p in OWN], ("ffn",), "mean")["ffn"].numpy()
    labels, hypotheses = ran.tables["labels"], ran.tables["hypotheses"]
    named = labels[labels["label"] != ""]
    # Of all neurons with a hypothesis, those without a label in the end among them.
    best = hypotheses.loc[hypotheses.groupby(["layer", "neuron"])["correlation"].idxmax()]
    values = {text: prediction(asked, text) for text in best["text"].unique()}
    picked = named.groupby("layer").head(4)
    assert len(picked) > 10
    for row in picked.itertuples():
        own = hypotheses[(hypotheses["layer"] == row.layer) & (hypotheses["neuron"] == row.neuron)]
        truth = whole[:, row.layer, row.neuron]
        r = {}
        for text, told in zip(own["text"], own["correlation"], strict=True):
            at = side == CHOSEN
            r[text] = np.corrcoef(prediction(asked, text)[at], truth[at])[0, 1]
            assert told == pytest.approx(r[text], abs=2e-3)
        assert r[row.label] == pytest.approx(max(r.values()), abs=2e-3)
        at = side == JUDGED
        judged = np.corrcoef(prediction(asked, row.label)[at], truth[at])[0, 1]
        assert row.correlation == pytest.approx(judged, abs=2e-3)
        # The others' labels, turned as the proteins that choose say.
        others = best[(best["layer"] == row.layer) & (best["neuron"] != row.neuron)]
        turned = [
            np.corrcoef(values[text][side == JUDGED], truth[at])[0, 1]
            * np.sign(np.corrcoef(values[text][side == CHOSEN], truth[side == CHOSEN])[0, 1])
            for text in others["text"]
        ]
        assert np.mean(turned) == pytest.approx(row.control_correlation, abs=2e-3)
        beaten = [0.5 if abs(r - judged) < 1e-4 else r < judged for r in turned]
        assert np.mean(beaten) == pytest.approx(row.beaten, abs=0.03)


# --- Nothing leaks -------------------------------------------------------------------------------


def shuffled(given, side, seed=0):
    """Exemplars in which the held-out activations of one side are those of other proteins."""
    changed = replace(given, arrays=dict(given.arrays))
    table = given.tables["proteins"]
    held = table.loc[table["side"] != EXPLAINED, "side"].to_numpy()
    order = np.arange(len(held))
    order[held == side] = np.random.default_rng(seed).permutation(order[held == side])
    changed.arrays["held.ffn"] = given.arrays["held.ffn"][order]
    return changed


def test_who_judges_has_no_say_in_the_label(given):
    before, after = layer_of(given), layer_of(shuffled(given, JUDGED))
    assert after["hypotheses"].equals(before["hypotheses"])
    same = [c for c in before["labels"] if "correlation" not in c and c != "beaten"]
    assert after["labels"][same].equals(before["labels"][same])
    r = after["labels"]["correlation"].dropna()
    assert len(r) > 20
    # 40 proteins judge: chance has a spread of .16, and neurons are alike.
    assert abs(r.mean()) < 0.2 < 0.3 < before["labels"]["correlation"].mean()


def test_who_chooses_has_no_say_in_the_hypotheses(given):
    before, after = layer_of(given), layer_of(shuffled(given, CHOSEN))
    assert after["hypotheses"]["text"].tolist() == before["hypotheses"]["text"].tolist()
    assert not after["labels"]["label"].equals(before["labels"]["label"])


def test_held_out_proteins_are_no_exemplars_and_no_background(given):
    table = given.tables["proteins"]
    side = table["side"].to_numpy()
    for end in ("top", "bottom"):
        assert (side[given.arrays[f"{end}_at.ffn"]] == EXPLAINED).all()
    changed = copy.deepcopy(given)
    own = changed.tables["proteins"]
    numbers = list(features.FEATURES)
    held = own["side"] != EXPLAINED
    own.loc[held, numbers] = own.loc[held, numbers].to_numpy()[::-1] * 3
    for row in np.flatnonzero(held):
        own.at[row, "annotations"] = ["only: here"]
    before, after = (
        DescribedProteins(exemplars.tables["proteins"]) for exemplars in (given, changed)
    )
    assert before.traits.names == after.traits.names
    at = given.arrays["top_at.ffn"][0]
    assert np.array_equal(before.explainer.separation(at).p, after.explainer.separation(at).p)
    assert not np.array_equal(before.standard, after.standard)


def test_relatives_judge_apart(given):
    """Where some judges have a relative among the proteins that explain, and some have none."""
    changed = copy.deepcopy(given)
    table = changed.tables["proteins"]
    judges = np.flatnonzero(table["side"] == JUDGED)
    table.loc[judges[:15], "nearest"] = 0.5
    found = layer_of(changed)["labels"]
    before = layer_of(given)["labels"]
    assert before["unrelated_correlation"].equals(before["correlation"])
    assert before["related_correlation"].isna().all()
    assert found["correlation"].equals(before["correlation"])
    held = table.loc[table["side"] != EXPLAINED, "side"].to_numpy()
    truth = given.arrays["held.ffn"][held == JUDGED, 0].astype(float)
    for row in found[found["label"] != ""].head(5).itertuples():
        told = prediction(spec(), row.label)[judges]
        for part, r in (
            (slice(None, 15), row.related_correlation),
            (slice(15, None), row.unrelated_correlation),
        ):
            expected = np.corrcoef(told[part], truth[part, row.neuron])[0, 1]
            assert r == pytest.approx(expected, abs=2e-3)
    numbers = STUDY.run_shard(spec(), ("ffn", 0), Context(given=[changed])).numbers
    assert numbers == {"judged": 40, "related": 15 / 40}
    table.loc[judges[9:], "nearest"] = 0.1
    assert layer_of(changed)["labels"]["related_correlation"].isna().all()  # of nine


# --- False discoveries ---------------------------------------------------------------------------


def studied(given, seed, *, neurons=300, planted=0):
    """A study of neurons whose proteins are drawn at random, but for those that like one trait."""
    draw = np.random.default_rng(seed)
    known = DescribedProteins(given.tables["proteins"])
    table = given.tables["proteins"]
    features = known.traits.standard(table["background"].to_numpy(bool))
    held = (table["side"] != EXPLAINED).to_numpy()
    at = np.empty((1, neurons, 20), np.int32)
    seen = draw.normal(size=(held.sum(), 1, neurons))
    explained = np.flatnonzero(~held)
    for neuron in range(neurons):
        liking = np.zeros(len(table))
        if neuron < planted:
            liking = 3 * features[:, draw.integers(features.shape[1])]
            seen[:, 0, neuron] += liking[held]
        noisy = liking[explained] + draw.normal(size=len(explained))
        at[0, neuron] = explained[np.argsort(-noisy)[:20]]
    moments = np.ones((1, neurons), np.float32)
    arrays = {"top_at.ffn": at, "held.ffn": seen, "mean.ffn": moments, "sd.ffn": moments}
    exemplars = Result(tables=given.tables, arrays=arrays)
    part = STUDY.run_shard(spec(), ("ffn", 0), Context(given=[exemplars]))
    return STUDY.merge(spec(), [part], Context())


@pytest.mark.long
def test_noise_gets_no_label(given):
    found = [studied(given, seed).numbers for seed in range(20)]
    named = sum(own["named"] for own in found)
    assert 0.01 < named / (20 * 300) < 0.06  # each neuron is tested at .05
    assert sum(own["labelled"] > 0 for own in found) <= 3


@pytest.mark.long
def test_planted_traits_are_found_and_few_others(given):
    shares, power = [], []
    for seed in range(10):
        labels = studied(given, seed, planted=40).tables["labels"]
        named = labels["label"] != ""
        assert (labels.loc[named, "q"] < 0.05).all()
        assert labels.loc[~named, ["q", "correlation", "beaten", "effect"]].isna().all(None)
        shares.append((named & (labels["neuron"] >= 40)).sum() / named.sum())
        power.append(named[labels["neuron"] < 40].mean())
    assert np.mean(shares) <= 0.05
    assert np.mean(power) > 0.8


def test_labels_of_chance_are_beaten_half_the_time_and_others_are_not(given):
    numbers = studied(given, 1, neurons=1500).numbers
    assert np.isnan(numbers["beaten"])  # without a label there is none
    own = studied(given, 0, planted=300).numbers
    assert own["beaten"] > 0.9
    assert own["correlation"] > 0.8
    assert abs(own["control_correlation"]) < 0.3


# --- Settings ------------------------------------------------------------------------------------


def test_the_exemplars_are_computed_once(model, ran, home, monkeypatch):
    def fail(*arguments):
        raise AssertionError("the corpus is read again")

    monkeypatch.setattr(exemplars, "pooled", fail)
    result = run(model, spec(candidates=1), home)
    assert result.tables["hypotheses"].groupby(["layer", "neuron"]).size().max() == 1
    assert ran.tables["hypotheses"].groupby(["layer", "neuron"]).size().max() == 4
    again = run(model, spec(candidates=3), home)
    assert again.tables["labels"].equals(ran.tables["labels"])


def test_some_neurons_of_every_layer(model, ran, home):
    some = run(model, spec(per_layer=5), home).tables["labels"]
    assert some.groupby("layer").size().tolist() == [5] * 3
    whole = ran.tables["labels"].set_index(["layer", "neuron"])
    for row in some.itertuples():
        assert whole.loc[(row.layer, row.neuron), "label"] == row.label
        assert whole.loc[(row.layer, row.neuron), "correlation"] == pytest.approx(
            row.correlation, nan_ok=True
        )
    assert run(model, spec(per_layer=500, candidates=2), home).numbers["neurons"] == 144


def test_one_neuron_has_no_control(given):
    asked = spec(per_layer=1)
    labels = layer_of(given, 2, asked)["labels"]
    assert len(labels) == 1
    assert labels[["control_correlation", "beaten"]].isna().all(None)


def test_without_annotations_there_are_labels(model, home):
    result = run(model, spec(corpus(annotated=False), per_layer=8), home)
    assert result.numbers["labelled"] > 0
    assert set(result.tables["labels"]["group"]) <= {"", "sequence", "structure"}


def test_no_label_at_all_is_a_result(model, given, home, monkeypatch):
    monkeypatch.setattr(neuron_labels, "candidates", lambda s, c: candidates(s, c, level=0.0))
    result = run(model, spec(per_layer=2), home / "none")
    assert (result.numbers["labelled"], result.numbers["distinct"]) == (0, 0)
    assert result.numbers["entropy"] == 0
    assert np.isnan(result.numbers["correlation"])
    assert set(result.tables["labels"]["label"]) == {""}
    assert len(result.tables["hypotheses"]) == 0


def test_other_simulators_are_asked(given, monkeypatch):
    def embed(texts):
        rows = np.array([[text.count(x) for x in "abcdefghiklmnopqrstuvwxyz"] for text in texts])
        return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)).astype("f4")

    monkeypatch.setattr(sentences, "embed", embed)
    neuron_labels._embedded.cache_clear()
    found = layer_of(given, 0, spec(simulator="sentences"))["hypotheses"]
    known = DescribedProteins(given.tables["proteins"])
    at = known.side == CHOSEN
    held = given.arrays["held.ffn"][at, 0].astype(float)
    for row in found.head(20).itertuples():
        like = embed([row.text])[0] @ embed(known.texts)[at].T
        assert row.correlation == pytest.approx(
            np.corrcoef(like, held[:, row.neuron])[0, 1], abs=1e-4
        )
    neuron_labels._embedded.cache_clear()
    monkeypatch.setattr(neuron_labels, "_longformer", lambda folder, device: folder)
    monkeypatch.setattr(
        longformer,
        "simulate",
        lambda simulator, text, held, check: (
            np.array([len(p.sequence.strip("K")) for p in held], float) + len(text)
        ),
    )
    found = layer_of(given, 0, spec(simulator="longformer", longformer="x"))["hypotheses"]
    table = given.tables["proteins"]
    chosen = table[table["side"] == CHOSEN]
    like = [len(sequence.strip("K")) for sequence in chosen["sequence"]]
    row = found.iloc[0]
    r = np.corrcoef(like, held[:, row["neuron"]])[0, 1]
    assert row["correlation"] == pytest.approx(r, abs=1e-4)


@pytest.mark.long
def test_what_explainers_are_told(given):
    asked = spec()
    (_, user) = neuron_labels.question(asked, given, "ffn", 0, K_UNIT)
    text = user["content"]
    table = given.tables["proteins"]
    for end, count in (("top", 10), ("bottom", 5)):
        for place in given.arrays[f"{end}_at.ffn"][0, K_UNIT, :count]:
            assert table["sequence"][place] in text
    assert text.count("sequence: ") == 15
    background = table[table["background"]]
    assert f"corpus mean {prompts.rounded(float(background['gravy'].mean()))}" in text
    for name in table.loc[table["side"] != EXPLAINED, "sequence"]:
        assert name not in text
    (_, user) = neuron_labels.question(spec(variant="authors"), given, "ffn", 0, K_UNIT)
    assert user["content"].count("sequence: ") == prompts.AUTHORS_EXAMPLES


# --- An endpoint ---------------------------------------------------------------------------------


@pytest.fixture
def server():
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(self.headers["Authorization"])
            texts = ["Proteins whose hydropathy is high.", "Rich in residue K"][: body.get("n", 1)]
            choices = [
                {
                    "index": i,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": t},
                }
                for i, t in enumerate(texts)
            ]
            raw = json.dumps({"id": "1", "object": "chat.completion", "choices": choices}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *arguments):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1", seen
    http.shutdown()
    http.server_close()


def by_endpoint(address, **changes):
    settings = {"explainer": "endpoint", "address": address, "answers_by": "tiny"}
    return spec(**settings | {"candidates": 2, "per_layer": 3} | changes)


def test_an_endpoint_explains_and_its_key_is_nowhere(model, server, home, monkeypatch):
    address, seen = server
    monkeypatch.setattr(neuron_labels, "_drawn", lambda spec, layer, size: np.arange(3))
    asked = by_endpoint(address)
    endpoint.keep_key(asked.key, KEY)
    result = run(model, asked, home)
    assert set(seen) == {f"Bearer {KEY}"}
    labels = result.tables["labels"]
    assert set(labels["source"]) == {f"endpoint: tiny at {address}"}
    first = labels[labels["layer"] == 0].set_index("neuron")
    assert first.loc[K_UNIT, "label"] == "Rich in residue K"
    assert first.loc[K_UNIT, "concept"] == "Residue K"
    assert first.loc[K_UNIT, "correlation"] > 0.95
    texts = set(result.tables["hypotheses"]["text"])
    assert texts == {"Proteins whose hydropathy is high.", "Rich in residue K"}
    assert KEY not in asked.to_json() + repr(asked)
    for path in home.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_an_endpoint_that_is_down_is_one_sentence(model, home, sentence, monkeypatch):
    monkeypatch.setattr(chat_server, "FIRST_WAIT", 0.001)
    told = sentence(
        run, model, by_endpoint("http://127.0.0.1:9/v1"), home, says="Nothing answers at"
    )
    assert "127.0.0.1:9" in told


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"explainer": "endpoint", "answers_by": "m"}, "address"),
        ({"explainer": "endpoint", "address": "http://127.0.0.1:9/v1"}, "model"),
        ({"explainer": "chat"}, "chat model"),
        ({"simulator": "longformer"}, "Longformer"),
        ({"keep": 90}, ["160 proteins", "compare 90"]),
        ({"corpus": "own-0123456789abcdef"}, "no corpus"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_computed(
    model, tmp_path, monkeypatch, sentence, settings, says
):
    monkeypatch.delattr(exemplars, "pooled")
    sentence(run, model, spec(**settings), tmp_path, says=says)


# --- Specs ---------------------------------------------------------------------------------------


def test_a_spec_goes_through_its_json():
    asked = by_endpoint("http://127.0.0.1:9/v1")
    again = read_spec(asked.to_json(), {"neuron_labels": NeuronLabelsSpec})
    assert again == asked
    assert again.key == asked.key
    assert asked.exemplars == spec().exemplars
    assert asked.exemplars.study == "exemplars"
    assert spec(pooling="max").exemplars.key != asked.exemplars.key


@pytest.mark.parametrize(
    "wrong",
    [
        {"explainer": "me"},
        {"simulator": "dice"},
        {"candidates": 0},
        {"per_layer": 0},
        {"temperature": 3.0},
        {"key": KEY},
        {"address": f"https://me:{KEY}@example.org/v1"},
        {"address": f"https://example.org/v1?key={KEY}"},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError) as caught:
        spec(**wrong)
    assert KEY not in str(caught.value)


def test_more_neurons_take_longer(model):
    one, more, chat = (
        STUDY.cost(asked, context_with(model))
        for asked in (
            spec(),
            spec(components=("ffn", "query")),
            spec(explainer="chat", answers_by="x"),
        )
    )
    assert 0 < one.seconds < min(more.seconds, chat.seconds)
    assert one.sentence == "About a second; finished portions are kept."


def test_the_layers_of_all_components_are_shards():
    means = {f"mean.{c}": np.zeros((3, 4), np.float32) for c in ("ffn", "residual")}
    context = Context(given=[Result(arrays=means)])
    found = STUDY.shards(spec(components=("residual", "ffn")), context)
    assert sorted(found) == sorted((c, layer) for c in ("ffn", "residual") for layer in range(3))


def merged(p, concept="x", label="x", **changes):
    """A study of several layers whose neurons have these p."""
    parts = []
    for layer, own in enumerate(p):
        table = pd.DataFrame({"layer": layer, "label": label, "concept": concept, "group": "x"},
                             index=range(len(own)))  # fmt: skip
        table[list(neuron_labels.NUMBERS)] = 0.5
        table["p"] = own
        hypotheses = pd.DataFrame({"layer": [layer]})
        parts.append(
            Result({"judged": 40, "related": 0.0}, {"labels": table, "hypotheses": hypotheses})
        )
    return STUDY.merge(spec(**changes), parts, Context())


def test_q_is_over_all_live_neurons():
    p = np.random.default_rng(0).random((2, 20)) ** 4
    p[0, 3] = np.nan
    result = merged(p)
    labels, live = result.tables["labels"], ~np.isnan(p.ravel())
    expected = np.full(40, np.nan)
    expected[live] = false_discovery_control(p.ravel()[live])
    kept = expected < 0.05
    assert labels.loc[kept, "q"].to_numpy() == pytest.approx(expected[kept])
    assert labels.loc[~kept, ["q", "correlation", "effect"]].isna().all(None)
    assert ((labels["label"] != "") == kept).all()
    assert 3 < kept.sum() < 20
    numbers = result.numbers
    counted = [numbers[name] for name in ("neurons", "live", "named", "labelled")]
    assert counted == [40, 39, 40, kept.sum()]
    assert str(numbers["entropy"]) == "0.0"


def test_labels_by_others_stay_and_have_no_q_where_they_name_nothing():
    p = np.array([[0.001, 0.3, 1.0, 0.04]])
    own = {"explainer": "endpoint", "address": "http://127.0.0.1:9/v1", "answers_by": "tiny"}
    result = merged(p, concept=["x", "x", "", "x"], **own)
    labels = result.tables["labels"]
    assert (labels["label"] == "x").all()
    assert labels["q"].to_numpy() == pytest.approx([0.004, 0.4, np.nan, 0.08], nan_ok=True)
    assert result.numbers["labelled"] == 4
