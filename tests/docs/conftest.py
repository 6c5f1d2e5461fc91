"""Where the documents and notebooks run."""

import pytest

from neuronlab.home import folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another folder, and a home without results, which shares the models that set-up fetched."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(folder() / "models")
    monkeypatch.setenv("NEURONLAB_HOME", str(home))
    monkeypatch.chdir(tmp_path)
