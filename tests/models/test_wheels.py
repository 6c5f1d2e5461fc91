"""Fetching wheels while their files move."""

import os

from neuronlab.models import wheels


def test_the_size_of_a_folder_that_changes_meanwhile_is_what_is_still_there(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(b"12345")
    assert wheels._size(tmp_path) == 10
    scandir = os.scandir

    def vanishing(path):
        if os.path.basename(path) == "b":
            os.rename(path, tmp_path.with_name("elsewhere"))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert wheels._size(tmp_path) == 5
