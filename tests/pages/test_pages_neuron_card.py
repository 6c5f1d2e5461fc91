"""The card of a neuron: what it says is what the scores and the example prompts say."""

import re

from neuronlab.attribution import attribute
from neuronlab.examples import example
from neuronlab.models import Prompt, shared
from neuronlab.neurons import Neuron, neuron_card
from neuronlab.runs import Store
from neuronlab.studies.attribution import one_pass, scores_of
from neuronlab.studies.bases.prompts import PROMPTS

MODEL = "smollm2-135m"


def test_the_rank_is_among_all_neurons_of_the_page(visit, results):
    scores = scores_of(Store(results).load(example(MODEL).key)[1])
    neuron = Neuron(3, "key", 5)
    app = visit("attribution", run=example(MODEL).key, neuron=str(neuron))
    (words,) = (text for text in app.texts() if re.search(r"^Score .*, rank ", text))
    rank = int(re.search(r"rank \*\*([\d,]+)\*\* of ([\d,]+)", words)[1].replace(",", ""))
    assert words.startswith(f"Score **{scores.score(neuron):+.3g}**, rank ")
    assert "by Integrated gradients; activation" in words
    assert words.endswith("at the predicted position.")
    above = sum(int((scores[c] > scores.score(neuron)).sum()) for c in scores)
    assert rank == above + 1


def test_of_a_token_that_was_clicked_score_and_activation_are_both_of_it(visit, results):
    spec = example(MODEL)
    app = visit("attribution", run=spec.key, neuron="24.ffn.1005")
    app.at.session_state["token"] = spec.key, 3
    app.run()
    model = shared(MODEL, "cpu")
    neuron = Neuron(24, "ffn", 1005)
    at_token = one_pass(model, spec, int(app.result(results).numbers["target"]))["ffn"][24, 3, 1005]
    seen = neuron_card(model, spec.prompt, neuron).activations["activation"][3]
    (words,) = (text for text in app.texts() if re.search(r"^Score .*, rank ", text))
    assert words.startswith(f"Score **{float(at_token):+.3g}**, rank ")
    assert "by Gradient x activation; activation" in words
    assert words.endswith(f"activation **{seen:+.3g}** at token 4, ␣France.")
    assert app.says("At the predicted position:")


def test_the_example_prompts_that_it_is_among_the_best_of_are_named(visit, results):
    model = shared(MODEL, "cpu")
    best = {
        title: attribute(model, Prompt(**asked), method="gradient_x_activation").select(top=10)
        for title, asked in PROMPTS[MODEL].items()
    }
    neuron = next(iter(best["Opposite"]))
    names = [title for title, neurons in best.items() if neuron in neurons]
    app = visit("attribution", run=example(MODEL).key, neuron=str(Neuron(*neuron)))
    (words,) = (text for text in app.texts() if text.startswith("By gradient x activation"))
    assert f"ten best of {len(names)} of {len(best)} example prompts: {', '.join(names)}" in words
    assert "Capital of France" not in names
    assert words.endswith("; not of this one.")
    neuron = next(iter(best["Capital of France"]))
    app = visit("attribution", run=example(MODEL).key, neuron=str(Neuron(*neuron)))
    (words,) = (text for text in app.texts() if text.startswith("By gradient x activation"))
    assert "Capital of France" in words
    assert "not of this one" not in words


def test_a_neuron_that_writes_nothing_says_what_it_does_instead(visit, results):
    app = visit("attribution", run=example(MODEL).key, neuron="18.query.242")
    assert app.says("writes nothing to the stream itself")
    assert not app.says("Promotes (change of the logit)")
    app = visit("attribution", run=example(MODEL).key, neuron="18.ffn.242")
    assert not app.says("writes nothing to the stream itself")
    assert app.says("Promotes (change of the logit)")


def test_a_link_leads_back_to_the_neuron(visit, results):
    """The link itself is the page's address: see the browser's test of what is shared."""
    app = visit("attribution", run=example(MODEL).key, neuron="7.ffn.11")
    assert app.query("neuron") == "7.ffn.11"
    assert app.query("run") == example(MODEL).key
    assert app.says("It opens this run, view and neuron")
