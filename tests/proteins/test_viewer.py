import base64
import hashlib
import io
import subprocess
import tarfile
from html.parser import HTMLParser
from http.client import IncompleteRead
from typing import ClassVar

import pytest

from neuronlab import npm as packages
from neuronlab.errors import UserError
from neuronlab.proteins import viewer

SCRIPT = b"var $3Dmol = {};"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    monkeypatch.setattr(viewer, "SHA256", hashlib.sha256(SCRIPT).hexdigest())
    return tmp_path


@pytest.fixture
def npm(monkeypatch):
    """An npm that packs what its `members` say, and counts its runs."""

    class Npm:
        members = None
        runs = 0

    def run(command, cwd, **kwargs):
        assert command[1:3] == ["pack", "3dmol@2.5.5"]
        Npm.runs += 1
        if Npm.members is not None:
            with tarfile.open(cwd / "3dmol-2.5.5.tgz", "w:gz") as archive:
                for name, data in Npm.members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        return subprocess.CompletedProcess(command, 0, b"", b"npm says why")

    Npm.members = {f"package/{viewer.MEMBER}": SCRIPT, "package/../../evil.js": b"evil"}
    monkeypatch.setattr(packages.shutil, "which", lambda name: "/bin/npm")
    monkeypatch.setattr(packages.subprocess, "run", run)
    return Npm


def test_fetched_once(npm, home):
    path = viewer.fetch_viewer()
    assert path == home / "assets" / "3Dmol-min.js"
    assert path.read_bytes() == SCRIPT
    assert viewer.fetch_viewer() == path
    assert npm.runs == 1
    assert [file.name for file in home.rglob("*.js*")] == ["3Dmol-min.js"]


def test_a_damaged_file_is_fetched_again(npm):
    viewer.fetch_viewer().write_bytes(SCRIPT[:5])
    with pytest.raises(UserError, match="not on this machine"):
        viewer.viewer_url()
    assert viewer.fetch_viewer().read_bytes() == SCRIPT


def test_without_npm_it_comes_from_where_py3dmol_would_take_it(monkeypatch, home):
    import inspect

    import py3Dmol

    asked = []
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    monkeypatch.setattr(
        packages.urllib.request, "urlopen", lambda url, **_: asked.append(url) or io.BytesIO(SCRIPT)
    )
    assert viewer.fetch_viewer().read_bytes() == SCRIPT
    assert viewer.fetch_viewer() == home / "assets" / "3Dmol-min.js"
    assert asked == [inspect.signature(py3Dmol.view.__init__).parameters["js"].default]


@pytest.mark.parametrize("failure", [OSError("no route"), IncompleteRead(b"var")])
def test_without_npm_and_without_the_web(monkeypatch, failure, sentence):
    def fail(url, **_):
        raise failure

    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    monkeypatch.setattr(packages.urllib.request, "urlopen", fail)
    sentence(viewer.fetch_viewer, says="could not be downloaded")


def test_no_page_gets_the_viewer_from_the_web(sentence):
    sentence(viewer.viewer_url, says="not on this machine")


def test_a_framed_page_is_in_a_sandbox_and_whole(npm):
    page = '<p title="a">&amp;</p><script>"</iframe>"</script>'

    class Frames(HTMLParser):
        found: ClassVar[list] = []

        def handle_starttag(self, tag, attributes):
            self.found.append((tag, dict(attributes)))

    parser = Frames()
    parser.feed(viewer.framed(page, 'of "A" <b>'))
    parser.close()
    (_, (tag, attributes)) = parser.found
    assert tag == "iframe"
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["srcdoc"] == page
    assert attributes["title"] == 'of "A" <b>'


def test_names_of_a_view_cannot_end_its_script(npm):
    page = viewer.framed("<p>", camera="</script>A", linked="</script>B")
    assert page.count("</script>") == 1
    assert page.index("A") < page.index("B") < page.index("</script>")


def test_the_local_address_holds_the_script(npm):
    viewer.fetch_viewer()
    head, data = viewer.viewer_url().split(",")
    assert head == "data:text/javascript;base64"
    assert base64.b64decode(data) == SCRIPT


@pytest.mark.parametrize("members", [None, {}, {f"package/{viewer.MEMBER}": b"another script"}])
def test_another_file_or_none_is_refused(npm, home, members):
    npm.members = members
    with pytest.raises(UserError):
        viewer.fetch_viewer()
    assert not list(home.rglob("*.js"))


def test_a_folder_that_cannot_be_written(npm, home):
    (home / "assets").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        viewer.fetch_viewer()
