"""Prompts on which the neurons of another one should do little, of every kind of model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

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
_TRIED = 20
_PLACES = (0.2, 0.5, 0.8)
_OTHER_PLACES = (0.1, 0.35, 0.65, 0.9)


@dataclass(frozen=True)
class _Share:
    """How many bystanders a purpose gets.

    Attributes:
        same: facts of the prompt's relation.
        relations, of_each: other relations, and facts of each.
        sentences: plain ones.
        places: residues of the protein, as shares of its length.
        proteins: other ones.
    """

    same: int
    relations: int
    of_each: int
    sentences: int
    places: tuple[float, ...]
    proteins: int


_JUDGES = _Share(2, 2, 1, 2, _PLACES, 3)
_SUBTRACTED = _Share(4, 4, 1, 0, _OTHER_PLACES, 4)
_TWO = _Share(1, 0, 0, 1, (), 0)


def choose(model: Model, prompt: Prompt) -> list[Bystander]:
    """Bystanders of a prompt, which judge a change: none where nothing is known to ask a model.

    A language model is asked two other facts of the prompt's relation, one of each of two other
    relations, such as it answers right at first, and two plain sentences. A model of proteins is
    asked for other residues of the protein, where it fills in residues, and about other proteins
    that it knows.
    """
    return next(_groups(model, prompt), [])


def two(model: Model, prompt: Prompt) -> list[Bystander]:
    """The first fact of the prompt's relation and the first plain sentence of the judges alone.

    So a language model is asked a few times, not dozens of times. Of other models there are none.
    """
    return next(_groups(model, prompt, (_TWO,)), [])


def subtracted(model: Model, prompt: Prompt) -> list[Bystander]:
    """Others of the same kinds, whose scores a specific ranking subtracts: none of the judges."""
    return next(itertools.islice(_groups(model, prompt), 1, None), [])


def _groups(
    model: Model, prompt: Prompt, shares: Sequence[_Share] = (_JUDGES, _SUBTRACTED)
) -> Iterator[list[Bystander]]:
    """The judges, then, for whoever asks for more, those that are subtracted."""
    if model.alphabet == "protein":
        yield from _of_proteins(model, prompt, shares)
    elif model.kind != "classifier":
        yield from _of_facts(model, prompt, shares)


def _of_facts(model: Model, prompt: Prompt, shares: Sequence[_Share]) -> Iterator[list[Bystander]]:
    facts = [fact for name in _SETS for fact in SETS[name].facts()]
    relation = next((f.relation for f in facts if f.prompt == prompt.text), None)
    relations = dict.fromkeys(fact.relation for fact in facts)
    taken = {predict(model, prompt).label}
    # Each is asked no more than is taken of it, and goes on from there.
    by_relation = {
        name: _answered(model, prompt, SAME if name == relation else OTHER, name, facts, taken)
        for name in relations
    }
    for share in shares:
        same = () if relation is None else itertools.islice(by_relation[relation], share.same)
        group = list(same)
        others = (
            list(itertools.islice(by_relation[name], share.of_each))
            for name in relations
            if name != relation
        )
        for of_relation in itertools.islice(filter(None, others), share.relations):
            group += of_relation
        group += itertools.islice(_plain(model, prompt), share.sentences)
        yield group


def _answered(
    model: Model, prompt: Prompt, kind: str, relation: str, facts: Sequence[Fact], taken: set[str]
) -> Iterator[Bystander]:
    """Facts of a relation that the model answers right at first; no answer is taken twice."""
    of_relation = [f for f in facts if f.relation == relation and f.prompt != prompt.text]
    for fact in of_relation[:_TRIED]:
        with suppress(UserError):  # this model cannot be asked it
            question = ask(model, fact)
            first = predict(model, Prompt(prompt_text(model, fact)))
            if first.target not in question.golds or first.label in taken:
                continue
            taken.add(first.label)
            yield Bystander(kind, fact.prompt, Prompt(prompt_text(model, fact)))


def _plain(model: Model, prompt: Prompt) -> Iterator[Bystander]:
    for text in PLAIN_PROMPTS:
        if text != prompt.text:
            yield Bystander(PLAIN, text, Prompt(prompt_text(model, Fact(text, ()))))


def _of_proteins(
    model: Model, prompt: Prompt, shares: Sequence[_Share]
) -> Iterator[list[Bystander]]:
    hides = model.kind == "masked"
    proteins = iter(_proteins(model, prompt.text))
    taken = {prompt.mask}
    for share in shares:
        group = []
        places = {int(part * len(prompt.text)) for part in share.places} if hides else set()
        for place in sorted(places - taken):
            name = f"{prompt.text[place]}{place + 1}"
            group.append(Bystander(RESIDUE, name, Prompt(prompt.text, mask=place)))
        taken |= places
        for name, sequence in itertools.islice(proteins, share.proteins):
            middle = len(sequence) // 2
            residue = f", {sequence[middle]}{middle + 1}" if hides else ""
            mask = middle if hides else None
            group.append(Bystander(PROTEIN, f"{name}{residue}", Prompt(sequence, mask=mask)))
        yield group


def _proteins(model: Model, sequence: str) -> list[tuple[str, str]]:
    """Those that a model knows, other than the one asked about."""
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
        several = [(titles[name], backbone(name).sequence) for name in list(titles)[:8]]
    return [(name, each) for name, each in several if each != sequence]
