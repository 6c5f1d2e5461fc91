"""The built-in sets of facts."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from neuronlab.errors import UserError
from neuronlab.facts.fact import Fact

DATA = Path(__file__).parent / "data"
TERMS = "The project's own, under Apache-2.0 like the project."


@dataclass(frozen=True)
class _Entry:
    """A fact with all its prompts, the first one being the one that stands for it."""

    name: str
    relation: str
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    language: str = "en"
    joiner: str = " "
    prefix: str = ""


@dataclass(frozen=True)
class FactSet:
    """A set of facts that comes with the app; its file is read once, when first needed."""

    name: str
    title: str
    what: str
    terms: str
    entries: Callable[[], tuple[_Entry, ...]]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it has facts in."""
        return tuple(dict.fromkeys(entry.language for entry in self.entries()))

    @property
    def has_two_shot(self) -> bool:
        """Whether its facts have two solved examples to put before the prompt."""
        return all(entry.prefix for entry in self.entries())

    @property
    def has_paraphrases(self) -> bool:
        """Whether its facts are asked in more than one way."""
        return any(len(entry.prompts) > 1 for entry in self.entries())

    def facts(
        self, *, language: str = "en", two_shot: bool = False, paraphrases: bool = False
    ) -> list[Fact]:
        """Its facts in one language.

        Args:
            language: one of ``languages``.
            two_shot: put two solved examples of the relation before every prompt.
            paraphrases: every prompt of a fact instead of its first only; they share the name.

        Raises:
            UserError: the set lacks the language or the examples.
        """
        if language not in self.languages:
            languages = ", ".join(self.languages)
            raise UserError(
                f"{self.title} has no facts in '{language}': choose one of {languages}."
            )
        if two_shot and not self.has_two_shot:
            raise UserError(f"{self.title} has no two-shot prompts: ask it without examples.")
        return [
            Fact(
                prompt=(entry.prefix if two_shot else "") + prompt,
                answers=entry.answers,
                relation=entry.relation,
                name=entry.name,
                language=language,
                joiner=entry.joiner,
            )
            for entry in self.entries()
            if entry.language == language
            for prompt in (entry.prompts if paraphrases else entry.prompts[:1])
        ]


def _rows(file: str) -> Iterator[dict[str, Any]]:
    opened = gzip.open if file.endswith(".gz") else open
    with opened(DATA / file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@cache
def _six_languages() -> tuple[_Entry, ...]:
    return tuple(
        _Entry(
            name=row["fact"],
            relation=row["relation"],
            prompts=(asked["prompt"],),
            answers=tuple(asked["answers"]),
            language=language,
            # The file has a space there, which nobody writes: l'allemand.
            joiner="" if asked["prompt"].endswith("'") else asked["joiner"],
            prefix=asked["two_shot_prefix"],
        )
        for row in _rows("facts_six_languages.jsonl.gz")
        for language, asked in row["languages"].items()
    )


@cache
def _english_misc() -> tuple[_Entry, ...]:
    return tuple(
        _Entry(str(number), "misc", (row["prompt"],), tuple(row["answers"]))
        for number, row in enumerate(_rows("facts_english_misc.jsonl"), start=1)
    )


@cache
def _knowledge_types() -> tuple[_Entry, ...]:
    return tuple(
        _Entry(
            name=f"{row['relation']}/{row['subject'].lower().replace(' ', '_')}",
            relation=row["relation"],
            prompts=tuple(row["prompts"]),
            answers=tuple(row["answers"]),
        )
        for row in _rows("knowledge_types.jsonl")
    )


SETS: dict[str, FactSet] = {
    each.name: each
    for each in (
        FactSet(
            name="knowledge_types",
            title="Six types of knowledge",
            what="English facts whose answer is a language, a capital, a country, a colour, "
            "a number or a month, each asked in two or three ways.",
            terms=TERMS,
            entries=_knowledge_types,
        ),
        FactSet(
            name="six_languages",
            title="Facts about 25 countries",
            what="Capitals, official languages and currencies of 25 countries in English, "
            "Chinese, Japanese, French, Spanish and German.",
            terms=TERMS,
            entries=_six_languages,
        ),
        FactSet(
            name="english_misc",
            title="Miscellaneous facts",
            what="Well-known English facts of many kinds, one prompt each.",
            terms=TERMS,
            entries=_english_misc,
        ),
    )
}
