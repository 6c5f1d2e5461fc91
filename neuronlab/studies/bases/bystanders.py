"""Prompts on which the neurons of another one should do little, of every kind of model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress

from neuronlab.errors import UserError
from neuronlab.facts import SETS
from neuronlab.facts.asking import ask, prompt_text
from neuronlab.facts.fact import Fact
from neuronlab.models import Model, Prompt
from neuronlab.models.catalogue import use_of
from neuronlab.neurons import predict
from neuronlab.neurons.specificity import Bystander
from neuronlab.proteins.backbones import backbone, gallery
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL
from neuronlab.studies.bases.prompts import MAGAININ_2, MELITTIN

SAME, OTHER, PLAIN = "same relation", "other relation", "plain sentence"
RESIDUE, PROTEIN = "another residue", "another protein"
# What no fact is asked in.
PLAIN_PROMPTS = (
    "The quick brown fox jumps over the lazy",
    "She opened the door and walked into the",
    "Thank you very much for your",
    "I would like to have a cup of",
)
# Those that say of each fact what its relation is.
_SETS = ("knowledge_types", "six_languages")
# Of each relation at most so many facts are asked in search of some that the model knows.
_TRIED = 8
_OF_RELATION, _OF_OTHERS, _RELATIONS, _SENTENCES = 2, 1, 2, 2
_PLACES = (0.2, 0.5, 0.8)


def choose(model: Model, prompt: Prompt) -> list[Bystander]:
    """Bystanders of a prompt: none where nothing is known to ask a model.

    A language model is asked two other facts of the prompt's relation, one of each of two other
    relations, such as it answers right at first, and two plain sentences. A model of proteins is
    asked for other residues of the protein, where it fills in residues, and about other proteins
    that it knows.
    """
    if model.alphabet == "protein":
        return list(_of_proteins(model, prompt))
    if model.kind == "classifier":
        return []
    return [*_of_facts(model, prompt), *_plain(model, prompt)]


def _of_facts(model: Model, prompt: Prompt) -> Iterator[Bystander]:
    asked = predict(model, prompt)
    facts = [fact for name in _SETS for fact in SETS[name].facts()]
    relation = next((f.relation for f in facts if f.prompt == prompt.text), None)
    relations = dict.fromkeys(fact.relation for fact in facts)
    others = [other for other in relations if other != relation]
    taken = {asked.label}
    if relation is not None:
        yield from _known(model, prompt, SAME, relation, facts, taken)
    groups = (list(_known(model, prompt, OTHER, other, facts, taken)) for other in others)
    yield from itertools.chain.from_iterable(itertools.islice(filter(None, groups), _RELATIONS))


def _known(
    model: Model, prompt: Prompt, kind: str, relation: str, facts: Sequence[Fact], taken: set[str]
) -> Iterator[Bystander]:
    """Facts of a relation that the model answers right at first; no answer is taken twice."""
    of_relation = [f for f in facts if f.relation == relation and f.prompt != prompt.text]
    given = 0
    for fact in of_relation[:_TRIED]:
        with suppress(UserError):  # this model cannot be asked it
            question = ask(model, fact)
            first = predict(model, Prompt(prompt_text(model, fact)))
            if first.target not in question.golds or first.label in taken:
                continue
            taken.add(first.label)
            given += 1
            yield Bystander(kind, fact.prompt, Prompt(prompt_text(model, fact)))
        if given == (_OF_RELATION if kind == SAME else _OF_OTHERS):
            return


def _plain(model: Model, prompt: Prompt) -> Iterator[Bystander]:
    others = [text for text in PLAIN_PROMPTS if text != prompt.text]
    for text in others[:_SENTENCES]:
        yield Bystander(PLAIN, text, Prompt(prompt_text(model, Fact(text, ()))))


def _of_proteins(model: Model, prompt: Prompt) -> Iterator[Bystander]:
    hides = model.kind == "masked"
    if hides:
        places = {int(share * len(prompt.text)) for share in _PLACES} - {prompt.mask}
        for place in sorted(places):
            name = f"{prompt.text[place]}{place + 1}"
            yield Bystander(RESIDUE, name, Prompt(prompt.text, mask=place))
    for name, sequence in _proteins(model, prompt.text):
        middle = len(sequence) // 2
        residue = f", {sequence[middle]}{middle + 1}" if hides else ""
        mask = middle if hides else None
        yield Bystander(PROTEIN, f"{name}{residue}", Prompt(sequence, mask=mask))


def _proteins(model: Model, sequence: str) -> list[tuple[str, str]]:
    """Two or three that a model knows, other than the one asked about."""
    only = use_of(model.name).only
    if only == "antibodies":
        several = [
            ("trastuzumab, light chain", TRASTUZUMAB_VL),
            ("trastuzumab, heavy chain", TRASTUZUMAB_VH),
        ]
    elif only == "short peptides":
        several = [("melittin", MELITTIN), ("magainin 2", MAGAININ_2)]
    else:
        titles = gallery()
        several = [(titles[name], backbone(name).sequence) for name in list(titles)[:4]]
    return [(name, each) for name, each in several if each != sequence][:3]
