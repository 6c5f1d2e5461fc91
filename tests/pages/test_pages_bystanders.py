"""What else broke: the section below a proof."""

from dataclasses import replace

import pytest

import neuronlab as nl
from neuronlab.neurons.specificity import specificity
from neuronlab.studies.attribution import scores_of
from neuronlab.studies.bases import bystanders
from neuronlab.widgets.bystanders import summary


def table(app):
    return next(each.value for each in app.at.dataframe if "bystander" in each.value)


def test_a_proof_says_what_else_broke(
    visit, results, with_bystanders, with_all_random_sets, smollm
):
    app = visit("attribution")
    assert app.errors() == []
    spec, result = app.stored(results)
    prompt = nl.Prompt(spec["text"], target=int(result.numbers["target"]))
    neurons = scores_of(result).select(top=10)
    others = bystanders.choose(smollm, prompt)
    asked = smollm, prompt, neurons, nl.Suppress, others
    of = specificity(*asked)
    assert app.says(summary(of.alone()))
    assert app.says("No longer first: **")
    assert "random sets" not in table(app)
    app.at.toggle(key="bystanders_random").set_value(True)
    app.run()
    assert app.says(summary(of))
    assert app.says("of 20 random sets that are as active it is")
    assert "random sets" in table(app)
    # Of bystanders that ask for something else none shows that an answer alone is carried.
    away = of.bystanders[of.bystanders["kind"] != bystanders.SAME].assign(change=-0.1)
    assert "stays open" in summary(replace(of, bystanders=away))
    near = of.bystanders.assign(change=-0.1)
    assert "carry this answer more than others" in summary(replace(of, bystanders=near))
    assert app.says(f"Specificity **{of.quotient:.1f}**: log-probability {of.change:+.2f}")
    assert app.says("As it is: the likeliest 15 tokens")
    before = nl.generate(smollm, spec["text"], tokens=15)
    after = nl.generate(smollm, spec["text"], tokens=15, intervention=nl.Suppress(neurons))
    assert before != after
    for written in (before, after):
        assert app.says(written.split()[0])


def test_a_report_says_what_was_found_and_what_was_done(visit, results, with_bystanders):
    app = visit("attribution")
    parts = app.at.session_state["reported"]
    assert next(iter(parts)) == "headline"
    assert "Without its 10 top neurons: **" in parts["headline"].text
    neuron = app.query("neuron")
    assert f"Activation of neuron {neuron} at each token." in [p.words for p in parts.values()]
    proof = parts["intervention"]
    assert proof.words.endswith(") suppressed at all positions.")
    assert "nl.Suppress(basket" in proof.code
    assert "random neurons of the same layers, matched in activity: **" in parts["random_sets"].text
    assert len(parts["random_sets"].table) == 41
    assert parts["bystanders"].words == "What else broke?"
    assert "No longer first" in parts["bystanders"].text
    assert parts["specificity"].text.startswith("Specificity **")
    words = [part.words for part in parts.values() if part.figure]
    assert len(words) == len(set(words))


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_proof_says_in_its_title_what_was_changed(visit, results, with_bystanders):
    app = visit("attribution")
    app.at.slider(key="factor").set_value(2.5)
    app.run()
    app.at.slider(key="top").set_value(12)
    app.run()
    words = app.at.session_state["reported"]["intervention"].words
    assert words.startswith("Bars: probabilities of the first choices before and after; 12 neurons")
    assert words.endswith(" and 2 more) multiplied by 2.5 at all positions.")


def test_other_residues_and_proteins_are_asked_about(visit, results, with_bystanders):
    app = visit("attribution", model="antiberty")
    assert app.errors() == []
    assert app.says("What else broke?")
    assert app.says("4 bystanders")
    assert not app.says("likeliest 15 tokens")
