"""Corpora of a person's own: kept, listed, read again, damaged."""

import pytest

from neuronlab.proteins import corpora
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.corpora import CORPORA

PROTEINS = [
    AnnotatedProtein("one", "MKT", ("organism: Homo sapiens", 'said: "a, b"\n'), "CHH"),
    AnnotatedProtein("zwei; Ü", "GGX"),
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    corpora._read.cache_clear()
    yield tmp_path
    corpora._read.cache_clear()


def test_what_is_kept_is_read_again():
    name = corpora.keep("  My proteins ", PROTEINS)
    assert corpora.proteins(name) == PROTEINS
    assert corpora.titles()[name] == "My proteins"
    assert set(corpora.titles()) == {*CORPORA, name}


def test_the_same_is_kept_once(home):
    first = corpora.keep("a", PROTEINS)
    assert corpora.keep("b", PROTEINS) == first
    assert corpora.titles()[first] == "a"
    changed = [
        PROTEINS[:1],
        PROTEINS[::-1],
        [PROTEINS[0], AnnotatedProtein("zwei; Ü", "GGX", ("x: y",))],
        [PROTEINS[0], AnnotatedProtein("zwei; Ü", "GGX", (), "CCC")],
        [PROTEINS[0], AnnotatedProtein("zwei", "GGX")],
    ]
    names = {corpora.keep("a", own) for own in changed}
    assert len(names | {first}) == 6
    assert {path.suffix for path in (home / "corpora").iterdir()} == {".parquet"}


def test_two_processes_that_keep_the_same_do_not_write_into_one_file(home, monkeypatch):
    written, write = [], corpora.pq.write_table

    def write_twice(table, path):
        written.append(path)
        if len(written) == 1:
            corpora.keep("b", PROTEINS)  # by another one, meanwhile
        write(table, path)

    monkeypatch.setattr(corpora.pq, "write_table", write_twice)
    name = corpora.keep("a", PROTEINS)
    assert len(set(written)) == 2
    assert corpora.proteins(name) == PROTEINS


def test_a_title_is_short_and_may_be_missing():
    name = corpora.keep("", PROTEINS)
    assert corpora.titles()[name] == name
    other = corpora.keep("x" * 500, PROTEINS[:1])
    assert corpora.titles()[other] == "x" * corpora.MAX_TITLE


@pytest.mark.parametrize("name", ["", "own-0123456789abcdef", "own-../../x", "../pdb", "nothing"])
def test_no_corpus_of_that_name(sentence, name):
    sentence(corpora.proteins, name, says="no corpus")


def test_a_damaged_file_spoils_nothing_and_is_repaired(home, sentence):
    whole = corpora.keep("whole", PROTEINS)
    name = corpora.keep("mine", PROTEINS[:1])
    path = home / "corpora" / f"{name}.parquet"
    for content in (b"", b"PAR1 nonsense", path.read_bytes()[:-20]):
        path.write_bytes(content)
        assert corpora.titles() == {c: CORPORA[c].title for c in CORPORA} | {whole: "whole"}
        sentence(corpora.proteins, name, says="damaged")
    assert corpora.keep("mine", PROTEINS[:1]) == name
    assert corpora.proteins(name) == PROTEINS[:1]
    assert corpora.titles()[name] == "mine"


def test_a_corpus_that_was_removed_is_gone(home, sentence):
    name = corpora.keep("mine", PROTEINS)
    corpora.proteins(name)
    (home / "corpora" / f"{name}.parquet").unlink()
    sentence(corpora.proteins, name, says="no corpus")
    assert name not in corpora.titles()


def test_a_folder_that_cannot_be_written_is_one_sentence(home, sentence):
    (home / "corpora").write_text("a file is in the way")
    sentence(corpora.keep, "mine", PROTEINS, says="cannot be kept")


def test_germlines_that_were_not_fetched_are_one_sentence(sentence, monkeypatch):
    monkeypatch.delitem(CORPORA["germlines"].__dict__, "proteins", raising=False)
    sentence(corpora.proteins, "germlines", says="fetch")
