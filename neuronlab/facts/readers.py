"""Read facts as people upload them: LAMA, ParaRel and plain tables, with limits.

LAMA (Petroni et al. 2019) and ParaRel (Elazar et al. 2021) are read as published, JSON lines; so
are mLAMA (Kassner et al. 2021) and mParaRel (Fierro and Søgaard 2022), which have a folder for
each language. They hold far more than a run takes: ``list_facts`` says what there is, and
``read_facts`` keeps what was chosen of it.
"""

import io
import itertools
import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.facts.fact import Fact
from neuronlab.facts.formats import prompt_of, read_file
from neuronlab.facts.rows import MAX_FACTS, MAX_TEXTS, OBJECT, SUBJECT, Upload, too_many_facts
from neuronlab.models import MASK

MAX_BYTES = 200_000_000
MAX_UNPACKED = 2_000_000_000  # characters; LAMA's sentences are several hundred million
MAX_MEMBERS = 25_000
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


def list_facts(files: Mapping[str, bytes]) -> Contents:
    """What languages and relations an upload has, and how many prompts of each.

    It is read through and nothing is kept, so that memory stays small however much there is.

    Args:
        files: each file's name and content, as for ``read_facts``.

    Raises:
        UserError: nothing to read, damaged, or over the limits on bytes, members of a zip, and
            different languages and relations. One sentence that says what to do.
    """
    upload = Upload(listing=True)
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
    upload = Upload(languages, relations)
    _read_all(upload, files)
    if not upload.rows and (languages is not None or relations is not None):
        raise UserError(
            "There are no facts of these languages and relations in the upload: choose others."
        )
    _check(upload)
    # Counted before any prompt is made: rows times patterns can be a great many.
    count = sum(len(upload.texts(row)) for row in upload.rows)
    if count > MAX_FACTS:
        raise too_many_facts()
    if most is not None and count > most:
        _draw(upload, most)
    return _facts(upload)


def _read_all(upload: Upload, files: Mapping[str, bytes]) -> None:
    if sum(map(len, files.values())) > MAX_BYTES:
        raise uploads.too_large("The upload", MAX_BYTES)
    room = uploads.Room(MAX_UNPACKED)
    for name, data in files.items():
        if not _is_zip(name, data):
            # Whatever else is in a folder that was uploaded as a whole is no mistake.
            read_file(upload, room, name, io.BytesIO(data), among=len(files) > 1 and "/" in name)
            continue
        for member, content in uploads.unzipped(uploads.file_name(name), data, MAX_MEMBERS):
            read_file(upload, room, member, content, among=True)


def _check(upload: Upload) -> None:
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


def _is_zip(name: str, data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06")) or name.lower().endswith(".zip")


def _draw(upload: Upload, most: int) -> None:
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


def _facts(upload: Upload) -> Facts:
    facts: dict[tuple[Any, ...], Fact] = {}
    characters = 0
    for row in upload.rows:
        usable = False
        for text in upload.texts(row):
            if row.subject:
                text = text.replace(OBJECT, MASK).replace(SUBJECT, row.subject)
            prompt, joiner = prompt_of(text, row.language)
            if not prompt:
                continue
            usable = True
            characters += len(prompt)
            if characters > MAX_TEXTS:
                raise too_many_facts()
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


def _unusable(upload: Upload) -> UserError:
    if upload.places:
        return UserError(f"There is no usable fact ({upload.note()[:-1]}): correct these files.")
    return UserError(
        f"There is no usable fact, as every row is {WITHOUT_PROMPT}: "
        "upload relations.jsonl or the pattern file with the rows."
    )
