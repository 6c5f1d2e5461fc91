"""What else broke: the section below a proof."""

import neuronlab as nl
from neuronlab.neurons.specificity import specificity
from neuronlab.studies.attribution import scores_of
from neuronlab.studies.bases import bystanders
from neuronlab.widgets.bystanders import summary


def table(app):
    return next(each.value for each in app.at.dataframe if "bystander" in each.value)


def test_a_proof_says_what_else_broke(visit, results, with_bystanders, smollm):
    app = visit("attribution")
    assert app.errors() == []
    spec, result = app.stored(results)
    prompt = nl.Prompt(spec["text"], target=int(result.numbers["target"]))
    neurons = scores_of(result).select(top=10)
    others = bystanders.choose(smollm, prompt)
    asked = smollm, prompt, neurons, nl.Suppress, others
    assert app.says(summary(specificity(*asked, random_sets=0)))
    assert app.says("No longer first: **")
    assert "random sets" not in table(app)
    app.at.toggle(key="bystanders_random").set_value(True)
    app.run()
    assert app.says(summary(specificity(*asked)))
    assert app.says("of 20 random sets that are as active it is")
    assert "random sets" in table(app)
    of = specificity(*asked)
    assert app.says(f"Specificity **{of.quotient:.1f}**: log-probability {of.change:+.2f}")
    assert app.says("As it is: the likeliest 15 tokens")
    before = nl.generate(smollm, spec["text"], tokens=15)
    after = nl.generate(smollm, spec["text"], tokens=15, intervention=nl.Suppress(neurons))
    assert before != after
    for written in (before, after):
        assert app.says(written.split()[0])


def test_other_residues_and_proteins_are_asked_about(visit, results, with_bystanders):
    app = visit("attribution", model="antiberty")
    assert app.errors() == []
    assert app.says("What else broke?")
    assert app.says("4 bystanders")
    assert not app.says("likeliest 15 tokens")
