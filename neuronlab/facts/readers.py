"""Read facts as people upload them: LAMA, ParaRel and plain tables, with limits.

LAMA (Petroni et al. 2019) and ParaRel (Elazar et al. 2021) are read as published, JSON lines; so
are mLAMA (Kassner et al. 2021) and mParaRel (Fierro and Søgaard 2022), which have a folder for
each language.
"""

import csv
import io
import json
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from neuronlab.errors import UserError
from neuronlab.facts.fact import Fact
from neuronlab.models import MASK
from neuronlab.spreadsheets import from_text

MAX_BYTES = 20_000_000
MAX_FACTS = 100_000
MAX_MEMBERS = 1_000

SUBJECT, OBJECT = "[X]", "[Y]"
# Of languages: "zh", "ceb", "zh-hans".
_CODE = re.compile(r"[a-z]{2,3}(-[a-z]+)*")
DELIMITERS = ",;\t"
# Written without spaces between words: the answer follows the prompt at once.
UNSPACED = ("zh", "ja", "th")
WITHOUT_PROMPT = f"without a prompt (no template, no pattern, no sentence with {MASK} once)"


@dataclass(frozen=True)
class Facts:
    """What an upload holds.

    Attributes:
        facts: at least one and at most ``MAX_FACTS``; the paraphrases of a fact share its name, and
            so does the fact in another language.
        note: one sentence about what was skipped and why, or "".
    """

    facts: list[Fact]
    note: str = ""


class _NoFacts(UserError):
    """The file holds something else: a mistake, except in a zip, where it is skipped."""


@dataclass(frozen=True)
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
    """All that the files hold together, before prompts are made."""

    rows: list[_Row] = field(default_factory=list)
    # By language and relation.
    templates: dict[tuple[str, str], str] = field(default_factory=dict)
    patterns: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)

    def texts(self, row: _Row) -> Sequence[str]:
        key = row.language, row.relation
        if row.subject and key in self.patterns:
            return self.patterns[key]
        if row.subject and key in self.templates:
            return [self.templates[key]]
        return row.texts


def read_facts(files: Mapping[str, bytes]) -> Facts:
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
    causal models can be asked; elsewhere it keeps ``[MASK]``.

    Args:
        files: each file's name and content.

    Raises:
        UserError: not one of these formats, damaged, incomplete, or over the limits on bytes,
            members of a zip and facts. One sentence that says what to do.
    """
    upload = _Upload()
    if sum(map(len, files.values())) > MAX_BYTES:
        raise _too_large("The upload")
    room = MAX_BYTES
    for name, data in files.items():
        if not _is_zip(name, data):
            _read(upload, name, data)
            continue
        for member, content in _unzip(name, data, room):
            room -= len(content)
            try:
                _read(upload, member, content)
            except _NoFacts:
                upload.skipped["file", "without facts"] += 1
    _check(upload, files)
    return _facts(upload)


def _check(upload: _Upload, files: Mapping[str, bytes]) -> None:
    relations = {row.relation for row in upload.rows if row.subject}
    for _, relation in upload.patterns:  # of many languages, some may have patterns only
        if relation not in relations:
            raise UserError(
                f"There are patterns for {_short(relation)} but no subjects and answers: "
                "upload its vocabulary file too, both in one .zip as they share their name."
            )
    if upload.templates and not upload.rows:
        raise UserError(
            "There are templates but no subjects and answers: "
            "upload the relations' own files too, such as P19.jsonl."
        )
    if not upload.rows:
        raise UserError(
            "There are no facts in the upload: give LAMA or ParaRel files, "
            "or a CSV or TSV table with the columns prompt and answer."
        )
    # Counted before any prompt is made: rows times patterns can be a great many.
    count = sum(len(upload.texts(row)) for row in upload.rows)
    if count > MAX_FACTS:
        have = "file has" if len(files) == 1 else "files have"
        raise UserError(
            f"The {have} {count:,} facts and {MAX_FACTS:,} is the most: "
            "keep only the rows and patterns you need."
        )


def _facts(upload: _Upload) -> Facts:
    facts: dict[tuple[Any, ...], Fact] = {}
    skipped = upload.skipped
    for row in upload.rows:
        usable = False
        for text in upload.texts(row):
            if row.subject:
                text = text.replace(OBJECT, MASK).replace(SUBJECT, row.subject)
            prompt, joiner = _prompt(text, row.language)
            if not prompt:
                continue
            usable = True
            key = prompt, row.answers, row.relation, row.language
            if key in facts:
                skipped["prompt", "given twice"] += 1
                continue
            facts[key] = Fact(prompt, row.answers, row.relation, row.name, row.language, joiner)
        skipped["row", WITHOUT_PROMPT] += not usable
    if not facts:
        raise UserError(
            f"There is no usable fact, as every row is {WITHOUT_PROMPT}: "
            "upload relations.jsonl or the pattern file with the rows."
        )
    parts = [
        f"{count:,} {what}{'s' * (count != 1)} {why}"
        for (what, why), count in skipped.items()
        if count
    ]
    return Facts(list(facts.values()), f"Skipped: {', '.join(parts)}." if parts else "")


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


def _read(upload: _Upload, name: str, data: bytes) -> None:
    """Add what one file holds that is no zip."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _NoFacts(f"{_short(name)} is not plain text: save it as UTF-8.") from None
    if not text.strip():
        raise _NoFacts(f"{_short(name)} is empty: upload a file that holds facts.")
    if text.lstrip().startswith(("{", "[")):
        _read_json_lines(upload, name, text)
    else:
        _read_table(upload, name, text)


# --- JSON lines ----------------------------------------------------------------------------------


def _read_json_lines(upload: _Upload, name: str, text: str) -> None:
    kind = ""
    language = _language(name)
    for number, row in _json_lines(name, text):
        kind = kind or _kind(name, row)
        where = f"Line {number} of {_short(name)}"
        if kind == "pattern":
            pattern = _template(row, "pattern", where)
            upload.patterns.setdefault((language, _stem(name)), []).append(pattern)
        elif kind == "template":
            key = language, _string(row, "relation")
            upload.templates[key] = _template(row, "template", where)
        elif row.get("from_english") is True and language != "en":
            # MLAMA: where a name was not translated, the row repeats the English one.
            upload.skipped["row", "that mLAMA did not translate"] += 1
        else:
            upload.rows.append(_lama_row(row, name, language, where))


def _json_lines(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    mistake: type[UserError] = _NoFacts
    # Not splitlines: JSON strings may hold the other line separators of Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            # Half of a surrogate pair passes as JSON, but no tokenizer takes it.
            json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise mistake(
                f"Line {number} of {_short(name)} is no JSON object: "
                "write one whole object on every line, as LAMA and ParaRel do."
            )
        mistake = UserError
        yield number, row


def _kind(name: str, row: dict[str, Any]) -> str:
    if "pattern" in row:
        return "pattern"
    if {"relation", "template"} <= row.keys():
        return "template"
    if "obj_label" in row and row.keys() & {"sub_label", "masked_sentences", "evidences"}:
        return "fact"
    raise _NoFacts(
        f"{_short(name)} is JSON without facts, as its objects have {_listed(row)}: LAMA's have "
        "obj_label with sub_label or masked_sentences, and ParaRel's patterns have pattern."
    )


def _lama_row(row: dict[str, Any], name: str, language: str, where: str) -> _Row:
    answer = _string(row, "obj_label")
    if not answer:
        raise UserError(f"{where} has no answer: fill in obj_label or remove the line.")
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


def _template(row: dict[str, Any], key: str, where: str) -> str:
    text = _string(row, key)
    if text.count(SUBJECT) != 1 or text.count(OBJECT) != 1:
        raise UserError(f"{where} needs {SUBJECT} and {OBJECT} once each in its {key}: correct it.")
    return text


def _string(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value.strip() if isinstance(value, str) else ""


# --- Tables --------------------------------------------------------------------------------------


def _read_table(upload: _Upload, name: str, text: str) -> None:
    delimiter = _delimiter(name, text)
    # Rows are counted as spreadsheets count them, with the header and empty rows.
    records: list[tuple[int, list[str]]] = []
    number = 0
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for number, cells in enumerate(reader, start=1):
            if any(map(str.strip, cells)):
                records.append((number, [from_text(cell.strip()).strip() for cell in cells]))
    except csv.Error:
        raise UserError(
            f"Row {number + 1} of {_short(name)} cannot be read: put a cell that holds quotation "
            "marks in quotation marks, and double those inside it."
        ) from None
    (_, header), *records = records
    header = [column.lower() for column in header]
    if not records:
        raise _NoFacts(f"{_short(name)} has columns but no rows: add a row for every fact.")
    for number, cells in records:
        where = f"Row {number} of {_short(name)}"
        if any(cells[len(header) :]):
            raise UserError(
                f"{where} has {len(cells)} cells and the first row {len(header)}: "
                "put a cell that holds the separator in quotation marks."
            )
        row = dict(zip(header, cells, strict=False))
        prompt, given = row.get("prompt", ""), row.get("answers", "") or row.get("answer", "")
        answers = tuple(dict.fromkeys(each.strip() for each in given.split("|") if each.strip()))
        language = row.get("language", "").lower() or "en"
        if prompt.count(MASK) > 1:
            raise UserError(f"{where} has {MASK} more than once: leave the answer's place only.")
        if not _prompt(prompt, language)[0]:
            raise UserError(f"{where} has no prompt: fill it in or remove the row.")
        if not answers:
            raise UserError(f"{where} has no answer: fill it in or remove the row.")
        fact = row.get("name") or row.get("fact") or str(len(upload.rows) + 1)
        upload.rows.append(
            _Row(answers, row.get("relation", ""), fact, texts=(prompt,), language=language)
        )


def _delimiter(name: str, text: str) -> str:
    """The separator with which the first row holds the columns that are needed."""
    # A first row of megabytes is no header.
    line = next(line for line in text.splitlines() if line.strip())[:10_000]
    found: list[str] = []
    for delimiter in DELIMITERS:
        columns = [each.strip().lower() for each in next(csv.reader([line], delimiter=delimiter))]
        if "prompt" in columns and {"answer", "answers"} & set(columns):
            return delimiter
        found = max(found, columns, key=len)
    raise _NoFacts(
        f"{_short(name)} has the columns {_listed(found)} and needs prompt and answer: "
        "name them so in its first row."
    )


# --- Zips ----------------------------------------------------------------------------------------


def _is_zip(name: str, data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06")) or name.lower().endswith(".zip")


def _unzip(name: str, data: bytes, room: int) -> list[tuple[str, bytes]]:
    """Name and content of the files in a zip; nothing is written, so their paths cannot harm."""
    broken = f"{_short(name)} cannot be unpacked: zip the files again, without a password."
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception:  # damaged archives fail in many ways
        raise UserError(broken) from None
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MAX_MEMBERS:
        raise UserError(
            f"{_short(name)} holds {len(members):,} files and {MAX_MEMBERS:,} is the most: "
            "zip only those with facts."
        )
    if sum(member.file_size for member in members) > room:
        raise _too_large(f"{_short(name)}, unpacked,")
    # The other methods may unpack without bound what claims to be small.
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise UserError(broken)
    contents = []
    for member in members:
        try:
            with archive.open(member) as file:
                contents.append((member.filename, file.read(member.file_size + 1)))
        except Exception:
            raise UserError(broken) from None
    return contents


# --- Names in sentences --------------------------------------------------------------------------


def _language(name: str) -> str:
    """The language a file is in: the name of its folder where that is a language code."""
    folder = PurePosixPath(name.replace("\\", "/")).parent.name
    return folder if _CODE.fullmatch(folder) else "en"


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _short(name: str) -> str:
    last = PurePosixPath(name.replace("\\", "/")).name
    return " ".join(last.split())[:60] or "The file"


def _listed(names: Iterable[str]) -> str:
    text = " ".join(", ".join(names).split())
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'"


def _too_large(what: str) -> UserError:
    limit = MAX_BYTES // 1_000_000
    return UserError(f"{what} is larger than {limit} MB: keep only the files and rows you need.")
