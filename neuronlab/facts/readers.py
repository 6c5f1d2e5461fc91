"""Read facts as people upload them: LAMA, ParaRel and plain tables, with limits.

LAMA (Petroni et al. 2019) and ParaRel (Elazar et al. 2021) are read as published, JSON lines; so
are mLAMA (Kassner et al. 2021) and mParaRel (Fierro and Søgaard 2022), which have a folder for
each language. They hold far more than a run takes: ``list_facts`` says what there is, and
``read_facts`` keeps what was chosen of it.
"""

import io
import itertools
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.facts.fact import Fact
from neuronlab.models import MASK

MAX_BYTES = 200_000_000
MAX_UNPACKED = 2_000_000_000  # characters; LAMA's sentences are several hundred million
MAX_FACTS = 300_000
MAX_MEMBERS = 25_000
# Different languages and relations together, and patterns and templates.
MAX_KINDS = 50_000
# Characters of a sentence, a name or an answer, and of all prompts.
MAX_TEXT = 10_000
MAX_TEXTS = 300_000_000
# Places that a sentence names.
PLACES = 3

SUBJECT, OBJECT = "[X]", "[Y]"
# Of languages: "zh", "ceb", "zh-hans".
_CODE = re.compile(r"[a-z]{2,3}(-[a-z]+)*")
# Written without spaces between words: the answer follows the prompt at once.
UNSPACED = ("zh", "ja", "th")
WITHOUT_PROMPT = f"without a prompt (no template, no pattern, no sentence with {MASK} once)"


@dataclass(frozen=True)
class Facts:
    """What was read of an upload.

    Attributes:
        facts: at least one and at most ``MAX_FACTS``; the paraphrases of a fact share its name, and
            so does the fact in another language.
        note: one sentence about what was skipped and why, or "".
    """

    facts: list[Fact]
    note: str = ""


@dataclass(frozen=True)
class Contents:
    """What an upload holds.

    Attributes:
        prompts: how many there are of each language and relation, in this order, as they occur in
            the upload; at least one.
        note: one sentence about what cannot be read and why, or "".
    """

    prompts: dict[tuple[str, str], int]
    note: str = ""


class _NoFacts(UserError):
    """The file holds something else: a mistake, except among others, where it is skipped."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One fact of a file; it has texts of its own, or those of its relation's templates."""

    answers: tuple[str, ...]
    relation: str
    name: str
    subject: str = ""
    texts: tuple[str, ...] = ()
    language: str = "en"


@dataclass
class _Upload:
    """All that the files hold together, before prompts are made.

    Attributes:
        languages, relations: those whose rows are kept; None keeps all.
        listing: keep no row, and only count them.
    """

    languages: Collection[str] | None = None
    relations: Collection[str] | None = None
    listing: bool = False
    rows: list[_Row] = field(default_factory=list)
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

    def add(self, row: _Row, place: str) -> None:
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
            raise _too_many()

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
        if place and len(places := self.places.setdefault((what, why), [])) < PLACES:
            places.append(place)

    def texts(self, row: _Row) -> Sequence[str]:
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


def list_facts(files: Mapping[str, bytes]) -> Contents:
    """What languages and relations an upload has, and how many prompts of each.

    It is read through and nothing is kept, so that memory stays small however much there is.

    Args:
        files: each file's name and content, as for ``read_facts``.

    Raises:
        UserError: nothing to read, damaged, or over the limits on bytes, members of a zip, and
            different languages and relations. One sentence that says what to do.
    """
    upload = _Upload(listing=True)
    _read_all(upload, files)
    _check(upload)
    prompts = upload.prompts()
    if not prompts:
        raise _unusable(upload)
    return Contents(prompts, upload.note())


def read_facts(
    files: Mapping[str, bytes],
    *,
    languages: Collection[str] | None = None,
    relations: Collection[str] | None = None,
    most: int | None = None,
) -> Facts:
    """The facts of one or several files that belong together.

    What a file is, its content says:

    - LAMA's rows, with sentences of their own (``evidences``, ``masked_sentences``) or together
      with ``relations.jsonl``, whose templates then make the prompts;
    - ParaRel's patterns together with the vocabulary of the same relation; both are named after
      the relation (``P19.jsonl``), so they come in a zip;
    - mLAMA and mParaRel: the same in a folder for each language, zipped or as a folder whose files
      are named by their paths (``zh/P19.jsonl``, ``tuples/zh/P19.jsonl``);
    - a table (CSV or TSV) with the columns ``prompt`` and ``answer`` (or ``answers``, several
      separated by ``|``) and, if wanted, ``relation``, ``name`` (or ``fact``) and ``language``;
    - a zip of any of these.

    Where nothing but punctuation follows the answer's place, the prompt ends there, so that
    causal models can be asked; elsewhere it keeps ``[MASK]``. In JSON lines, what is broken is
    skipped and the note says where and why; a broken row of a table is an error.

    Args:
        files: each file's name and content.
        languages: those that are read; None reads all.
        relations: those that are read; None reads all.
        most: of more prompts than these, whole facts are drawn at random, as many of each relation
            as there are, and the same ones in every language; the draw is always the same.

    Raises:
        UserError: not one of these formats, damaged, incomplete, or over the limits on bytes,
            members of a zip and facts. One sentence that says what to do.
    """
    upload = _Upload(languages, relations)
    _read_all(upload, files)
    if not upload.rows and (languages is not None or relations is not None):
        raise UserError(
            "There are no facts of these languages and relations in the upload: choose others."
        )
    _check(upload)
    # Counted before any prompt is made: rows times patterns can be a great many.
    count = sum(len(upload.texts(row)) for row in upload.rows)
    if count > MAX_FACTS:
        raise _too_many()
    if most is not None and count > most:
        _draw(upload, most)
    return _facts(upload)


def _read_all(upload: _Upload, files: Mapping[str, bytes]) -> None:
    if sum(map(len, files.values())) > MAX_BYTES:
        raise uploads.too_large("The upload", MAX_BYTES)
    room = uploads.Room(MAX_UNPACKED)
    for name, data in files.items():
        if not _is_zip(name, data):
            # Whatever else is in a folder that was uploaded as a whole is no mistake.
            _read(upload, room, name, io.BytesIO(data), among=len(files) > 1 and "/" in name)
            continue
        for member, content in uploads.unzipped(uploads.file_name(name), data, MAX_MEMBERS):
            _read(upload, room, member, content, among=True)


def _check(upload: _Upload) -> None:
    subjects = {relation for _, relation in upload.subjects}
    # Of many languages, some may have patterns only.
    without = dict.fromkeys(each for _, each in upload.patterns if each not in subjects)
    usable = bool(upload.prompts())
    for relation in without:
        if not usable:
            raise UserError(
                f"There are patterns for {uploads.file_name(relation)} but no subjects and "
                "answers: upload its vocabulary file too, both in one .zip as they share their "
                "name."
            )
        upload.skip(
            "relation", "with patterns but no subjects and answers", uploads.file_name(relation)
        )
    if upload.templates and not upload.count:
        raise UserError(
            "There are templates but no subjects and answers: "
            "upload the relations' own files too, such as P19.jsonl."
        )
    if not upload.count:
        if upload.places:
            raise _unusable(upload)
        raise UserError(
            "There are no facts in the upload: give LAMA or ParaRel files, "
            "or a CSV or TSV table with the columns prompt and answer."
        )


def _draw(upload: _Upload, most: int) -> None:
    """Leave out rows, so that there are at most so many prompts, of each relation alike."""
    prompts: dict[str, Counter[tuple[str, str]]] = {}
    for row in upload.rows:
        of_relation = prompts.setdefault(row.relation, Counter())
        of_relation[row.relation, row.name] += len(upload.texts(row))
    draw = random.Random(0)
    orders = []
    for of_relation in prompts.values():
        order = list(of_relation.items())
        draw.shuffle(order)
        orders.append(order)
    left, drawn = most, set[tuple[str, str]]()
    for fact, count in filter(None, itertools.chain(*itertools.zip_longest(*orders))):
        if count <= left:
            left -= count
            drawn.add(fact)
    rows = [row for row in upload.rows if (row.relation, row.name) in drawn]
    if not rows:
        raise UserError(f"Every fact has more than {most:,} prompts: keep fewer patterns.")
    why = f"at random, as at most {most:,} prompts are taken"
    upload.skipped["row", why] = len(upload.rows) - len(rows)
    upload.rows = rows


def _facts(upload: _Upload) -> Facts:
    facts: dict[tuple[Any, ...], Fact] = {}
    characters = 0
    for row in upload.rows:
        usable = False
        for text in upload.texts(row):
            if row.subject:
                text = text.replace(OBJECT, MASK).replace(SUBJECT, row.subject)
            prompt, joiner = _prompt(text, row.language)
            if not prompt:
                continue
            usable = True
            characters += len(prompt)
            if characters > MAX_TEXTS:
                raise _too_many()
            key = prompt, row.answers, row.relation, row.language
            if key in facts:
                upload.skip("prompt", "given twice")
                continue
            facts[key] = Fact(prompt, row.answers, row.relation, row.name, row.language, joiner)
        if not usable:
            upload.skip("row", WITHOUT_PROMPT)
    if not facts:
        raise _unusable(upload)
    return Facts(list(facts.values()), upload.note())


def _unusable(upload: _Upload) -> UserError:
    if upload.places:
        return UserError(f"There is no usable fact ({upload.note()[:-1]}): correct these files.")
    return UserError(
        f"There is no usable fact, as every row is {WITHOUT_PROMPT}: "
        "upload relations.jsonl or the pattern file with the rows."
    )


def _prompt(text: str, language: str) -> tuple[str, str]:
    """The prompt, or "" where there is none, and what joins the answer to it."""
    text = text.strip()
    before, mask, after = text.partition(MASK)
    if not mask:
        return text, "" if language.split("-")[0] in UNSPACED else " "
    if MASK in after:
        return "", ""
    joiner = " " if before[-1:].isspace() else ""
    ends = all(unicodedata.category(letter)[0] in "PZC" for letter in after)
    return (before.rstrip() if ends else text), joiner


def _read(
    upload: _Upload, room: uploads.Room, name: str, content: io.BufferedIOBase, *, among: bool
) -> None:
    """Add what one file holds that is no zip; among others it may hold something else."""
    file = uploads.file_name(name)
    try:
        # Cells of a table keep their line ends.
        lines = uploads.text_lines(file, content, room, uploads.MAX_LINE, newline="")
        empty = 0
        for first in lines:
            if first.strip():
                break
            empty += 1
        else:
            raise _NoFacts(f"{file} is empty: upload a file that holds facts.")
        # Lines are counted with the empty ones before the first.
        lines = itertools.chain(itertools.repeat("\n", empty), [first], lines)
        if first.lstrip().startswith(("{", "[")):
            _read_json_lines(upload, name, lines)
        else:
            _read_table(upload, file, first, lines)
    except (_NoFacts, uploads.NoText):
        if not among:
            raise
        upload.skip("file", "without facts")
    except uploads.LongLine:
        if not among:
            raise
        place = f"{_language(name)}: {file}"
        upload.skip("file", f"with a line of more than {uploads.MAX_LINE:,} characters", place)


# --- JSON lines ----------------------------------------------------------------------------------


def _read_json_lines(upload: _Upload, name: str, lines: Iterable[str]) -> None:
    kind = ""
    language = _language(name)
    if upload.languages is not None and language not in upload.languages:
        return
    for number, row in _json_lines(upload, name, lines):
        kind = kind or _kind(name, row)
        place = _place(name, number)
        if kind in ("pattern", "template"):
            relation = _stem(name) if kind == "pattern" else _string(row, "relation")
            upload.add_text(kind, (language, relation), _string(row, kind), place)
        elif not _string(row, "obj_label"):
            upload.skip("row", "without an answer in obj_label", place)
        elif row.get("from_english") is True and language != "en":
            # MLAMA: where a name was not translated, the row repeats the English one.
            upload.skip("row", "that mLAMA did not translate")
        else:
            upload.add(_lama_row(row, name, language), place)


def _json_lines(
    upload: _Upload, name: str, lines: Iterable[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    begun = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            # Half of a surrogate pair passes as JSON, but no tokenizer takes it.
            json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            begun = True
            yield number, row
        elif begun:
            upload.skip("line", "that is no JSON object", _place(name, number))
        else:
            raise _NoFacts(
                f"Line {number} of {uploads.file_name(name)} is no JSON object: "
                "write one whole object on every line, as LAMA and ParaRel do."
            )


def _kind(name: str, row: dict[str, Any]) -> str:
    if "pattern" in row:
        return "pattern"
    if {"relation", "template"} <= row.keys():
        return "template"
    if "obj_label" in row and row.keys() & {"sub_label", "masked_sentences", "evidences"}:
        return "fact"
    raise _NoFacts(
        f"{uploads.file_name(name)} is JSON without facts, as its objects have "
        f"{uploads.listed(row)}: LAMA's have obj_label with sub_label or masked_sentences, and "
        "ParaRel's patterns have pattern."
    )


def _lama_row(row: dict[str, Any], name: str, language: str) -> _Row:
    answer = _string(row, "obj_label")
    # Google-RE names its relation by a path, ConceptNet by a word, SQuAD not at all.
    relation = _string(row, "predicate_id") or _string(row, "pred").rsplit("/")[-1] or _stem(name)
    subject = _string(row, "sub_label") or _string(row, "sub")
    if "masked_sentences" in row:
        texts = _once_masked(row["masked_sentences"])
    else:
        evidences = row.get("evidences")
        evidences = evidences if isinstance(evidences, list) else []
        sentences = [each.get("masked_sentence") for each in evidences if isinstance(each, dict)]
        texts = _once_masked(sentences)[:1]
    # SQuAD's questions all have the same subject; their id tells them apart. MLAMA's line is the
    # same in all languages.
    line = row.get("lineid")
    key = str(line) if isinstance(line, int) else _string(row, "id") or f"{subject}/{answer}"
    return _Row((answer,), relation, f"{relation}/{key}", subject, texts, language)


def _once_masked(sentences: object) -> tuple[str, ...]:
    if not isinstance(sentences, list):
        return ()
    return tuple(each for each in sentences if isinstance(each, str) and each.count(MASK) == 1)


def _string(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value.strip() if isinstance(value, str) else ""


# --- Tables --------------------------------------------------------------------------------------


_COLUMNS = ("prompt", "answer", "answers", "language", "relation", "name", "fact")


def _read_table(upload: _Upload, file: str, first: str, lines: Iterable[str]) -> None:
    delimiter, columns = uploads.header(first, _COLUMNS)
    answers = {"answer", "answers"}.intersection(columns)
    if "prompt" not in columns or not answers:
        raise _NoFacts(
            f"{file} has the columns {uploads.listed(columns)} and needs prompt and answer: "
            "name them so in its first row."
        )
    if len(answers) > 1:
        raise UserError(f"{file} has answer and answers: leave one of the columns.")
    count = 0
    rows = uploads.rows(file, lines, delimiter, uploads.MAX_LINE)
    for where, row in uploads.records(file, rows, _COLUMNS):
        upload.add(_table_row(row, where, str(upload.count + 1)), where)
        count += 1
    if not count:
        raise _NoFacts(f"{file} has columns but no rows: add a row for every fact.")


def _table_row(row: Mapping[str, str], where: str, number: str) -> _Row:
    prompt, given = row.get("prompt", ""), row.get("answers", "") or row.get("answer", "")
    answers = tuple(dict.fromkeys(each.strip() for each in given.split("|") if each.strip()))
    language = row.get("language", "").lower() or "en"
    if prompt.count(MASK) > 1:
        raise UserError(f"{where} has {MASK} more than once: leave the answer's place only.")
    if not _prompt(prompt, language)[0]:
        raise UserError(f"{where} has no prompt: fill it in or remove the row.")
    if not answers:
        raise UserError(f"{where} has no answer: fill it in or remove the row.")
    name = row.get("name") or row.get("fact") or number
    return _Row(answers, row.get("relation", ""), name, texts=(prompt,), language=language)


def _is_zip(name: str, data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06")) or name.lower().endswith(".zip")


# --- Names in sentences --------------------------------------------------------------------------


def _language(name: str) -> str:
    """The language a file is in: the name of its folder where that is a language code."""
    folder = PurePosixPath(name.replace("\\", "/")).parent.name
    return folder if _CODE.fullmatch(folder) else "en"


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _place(name: str, number: int) -> str:
    """A line of a file, with its language."""
    return f"{_language(name)}: line {number:,} of {uploads.file_name(name)}"


def _too_many() -> UserError:
    return UserError(
        f"There are more than {MAX_FACTS:,} facts, which is the most that is read at a time: "
        "choose fewer languages and relations."
    )
