"""What the files of an upload hold together before prompts are made, within limits."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from neuronlab import uploads
from neuronlab.errors import UserError

MAX_FACTS = 300_000
# Different languages and relations together, and patterns and templates.
MAX_KINDS = 50_000
# Characters of a sentence, a name or an answer, and of all prompts.
MAX_TEXT = 10_000
MAX_TEXTS = 300_000_000
# Places that a sentence names.
_PLACES = 3

SUBJECT, OBJECT = "[X]", "[Y]"


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of a file; it has texts of its own, or those of its relation's templates."""

    answers: tuple[str, ...]
    relation: str
    name: str
    subject: str = ""
    texts: tuple[str, ...] = ()
    language: str = "en"


@dataclass
class Upload:
    """All that the files hold together, before prompts are made.

    Attributes:
        languages, relations: those whose rows are kept; None keeps all.
        listing: keep no row, and only count them.
    """

    languages: Collection[str] | None = None
    relations: Collection[str] | None = None
    listing: bool = False
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    characters: int = 0
    wordings: int = 0
    # By language and relation: rows with a subject, their own texts, and those of other rows.
    subjects: Counter[tuple[str, str]] = field(default_factory=Counter)
    sentences: Counter[tuple[str, str]] = field(default_factory=Counter)
    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    templates: dict[tuple[str, str], str] = field(default_factory=dict)
    patterns: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, row: Row, place: str) -> None:
        """Count a row, and keep it where it is wanted."""
        key = row.language, row.relation
        parts = (row.language, row.relation, row.name, row.subject, *row.answers, *row.texts)
        if max(map(len, parts)) > MAX_TEXT:
            self.skip("row", f"of more than {MAX_TEXT:,} characters", place)
            return
        self.count += 1
        if row.subject:
            self.subjects[key] += 1
            self.sentences[key] += len(row.texts)
        else:
            self.others[key] += len(row.texts)
        if len(self.subjects) + len(self.others) > MAX_KINDS:
            raise uploads.too_many("The upload", MAX_KINDS, "relations and languages")
        if self.listing or not self.wanted(key):
            return
        self.rows.append(row)
        self.characters += sum(map(len, parts))
        if len(self.rows) > MAX_FACTS or self.characters > MAX_TEXTS:
            raise too_many_facts()

    def add_text(self, kind: str, key: tuple[str, str], text: str, place: str) -> None:
        """Keep a relation's template, or one more of its patterns."""
        if text.count(SUBJECT) != 1 or text.count(OBJECT) != 1:
            self.skip(kind, f"without {SUBJECT} and {OBJECT} once each", place)
        elif max(map(len, (text, *key))) > MAX_TEXT:
            self.skip(kind, f"of more than {MAX_TEXT:,} characters", place)
        elif kind == "pattern":
            self.patterns.setdefault(key, []).append(text)
            self.wordings += 1
        else:
            self.wordings += key not in self.templates
            self.templates[key] = text
        if self.wordings > MAX_KINDS:
            raise uploads.too_many("The upload", MAX_KINDS, "patterns and templates")

    def wanted(self, key: tuple[str, str]) -> bool:
        """Whether facts of this language and relation are read."""
        language, relation = key
        return (self.languages is None or language in self.languages) and (
            self.relations is None or relation in self.relations
        )

    def skip(self, what: str, why: str, place: str = "") -> None:
        """Count what is not used, and keep the first places where that is."""
        self.skipped[what, why] += 1
        if place and len(places := self.places.setdefault((what, why), [])) < _PLACES:
            places.append(place)

    def texts(self, row: Row) -> Sequence[str]:
        """What the prompts of a row are made from: its relation's texts, else its own."""
        key = row.language, row.relation
        if row.subject and key in self.patterns:
            return self.patterns[key]
        if row.subject and key in self.templates:
            return [self.templates[key]]
        return row.texts

    def prompts(self) -> dict[tuple[str, str], int]:
        """How many prompts each language and relation have."""
        counts = {}
        for key in dict.fromkeys([*self.subjects, *self.others]):
            each = len(self.patterns.get(key, ())) or int(key in self.templates)
            count = self.subjects[key] * each if each else self.sentences[key]
            if count := count + self.others[key]:
                counts[key] = count
        return counts

    def note(self) -> str:
        """What was skipped, how often, where and why, in one sentence."""
        parts = []
        for (what, why), count in self.skipped.items():
            places = self.places.get((what, why), [])
            more = [f"{count - len(places):,} more"] if places and count > len(places) else []
            where = f" ({', '.join([*places, *more])})" if places else ""
            parts.append(f"{count:,} {what}{'s' * (count != 1)} {why}{where}")
        return f"Skipped: {', '.join(parts)}." if parts else ""


def too_many_facts() -> UserError:
    """More facts, or longer ones, than are read at a time."""
    return UserError(
        f"There are more than {MAX_FACTS:,} facts, which is the most that is read at a time: "
        "choose fewer languages and relations."
    )
