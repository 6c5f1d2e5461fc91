"""The formats of facts: LAMA's and ParaRel's JSON lines, and tables; a file's rows, one by one."""

import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.facts.rows import Row, Upload
from neuronlab.models import MASK

# Of languages: "zh", "ceb", "zh-hans".
_CODE = re.compile(r"[a-z]{2,3}(-[a-z]+)*")
# Written without spaces between words: the answer follows the prompt at once.
UNSPACED = ("zh", "ja", "th")


class _NoFacts(UserError):
    """The file holds something else: a mistake, except among others, where it is skipped."""


def read_file(
    upload: Upload, room: uploads.Room, name: str, content: io.BufferedIOBase, *, among: bool
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


def prompt_of(text: str, language: str) -> tuple[str, str]:
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


# --- JSON lines ----------------------------------------------------------------------------------


def _read_json_lines(upload: Upload, name: str, lines: Iterable[str]) -> None:
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
    upload: Upload, name: str, lines: Iterable[str]
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


def _lama_row(row: dict[str, Any], name: str, language: str) -> Row:
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
    return Row((answer,), relation, f"{relation}/{key}", subject, texts, language)


def _once_masked(sentences: object) -> tuple[str, ...]:
    if not isinstance(sentences, list):
        return ()
    return tuple(each for each in sentences if isinstance(each, str) and each.count(MASK) == 1)


def _string(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value.strip() if isinstance(value, str) else ""


# --- Tables --------------------------------------------------------------------------------------


_COLUMNS = ("prompt", "answer", "answers", "language", "relation", "name", "fact")


def _read_table(upload: Upload, file: str, first: str, lines: Iterable[str]) -> None:
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


def _table_row(row: Mapping[str, str], where: str, number: str) -> Row:
    prompt, given = row.get("prompt", ""), row.get("answers", "") or row.get("answer", "")
    answers = tuple(dict.fromkeys(each.strip() for each in given.split("|") if each.strip()))
    language = row.get("language", "").lower() or "en"
    if prompt.count(MASK) > 1:
        raise UserError(f"{where} has {MASK} more than once: leave the answer's place only.")
    if not prompt_of(prompt, language)[0]:
        raise UserError(f"{where} has no prompt: fill it in or remove the row.")
    if not answers:
        raise UserError(f"{where} has no answer: fill it in or remove the row.")
    name = row.get("name") or row.get("fact") or number
    return Row(answers, row.get("relation", ""), name, texts=(prompt,), language=language)


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
