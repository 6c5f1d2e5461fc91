"""Where everything is kept, and that it gets there whole or not at all."""

import re
from pathlib import Path
from threading import Barrier, Thread

import pytest

import neuronlab
from neuronlab import home


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    assert home.folder() == tmp_path
    monkeypatch.delenv("NEURONLAB_HOME")
    assert home.folder().name == "neuronlab"
    assert home.folder().is_absolute()


def test_a_new_one_is_for_its_account_alone_and_an_old_one_stays(monkeypatch, tmp_path):
    for place, expected in ((tmp_path / "a" / "new", 0o700), (tmp_path / "shared", 0o755)):
        if expected == 0o755:
            place.mkdir()
            place.chmod(expected)
        monkeypatch.setenv("NEURONLAB_HOME", str(place))
        home.make_folder(home.folder() / "models" / "x")
        assert (place / "models" / "x").is_dir()
        assert place.stat().st_mode & 0o777 == expected
    home.make_folder(tmp_path / "elsewhere" / "x")
    assert (tmp_path / "elsewhere" / "x").is_dir()


def test_what_is_kept_gets_there_by_one_module():
    package = Path(neuronlab.__file__).parent
    texts = {
        path.relative_to(package).as_posix(): path.read_text("utf-8")
        for path in package.rglob("*.py")
    }

    def having(pattern):
        return {name for name, text in texts.items() if re.search(pattern, text)}

    # The others make folders within folders that are there.
    making = having(r"mkdir\(parents=True")
    within = {"home.py", "models/convert.py", "models/wheels.py", "runs/result.py"}
    assert making == within | {"heads/files.py"}  # where who trains a head asks for it
    assert having(r"os\.replace|\.rename\(\w+\)|fsync") == {"home.py"}


def write(path, content):
    path.mkdir()
    for name in "abc":
        (path / name).write_text(content)


def content(path):
    return {each.read_text() for each in path.iterdir()}


def test_a_file_replaces_the_one_that_is_there(tmp_path):
    target = tmp_path / "new" / "file"
    for text in ("old", "new"):
        with home.publish(target) as path:
            path.write_text(text)
            assert path.parent.parent == target.parent, "on another disk it could not be renamed"
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_replaces_the_one_that_is_there_or_leaves_it(tmp_path):
    target = tmp_path / "folder"
    for text in ("old", "new"):
        with home.publish(target) as path:
            write(path, text)
        assert content(target) == {text}
    with pytest.raises(FileExistsError), home.publish(target, replace=False) as path:
        write(path, "newer")
    assert content(target) == {"new"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_things_as_they_were(tmp_path, error):
    target = tmp_path / "folder"

    def fail():
        with home.publish(target) as path:
            write(path, "half")
            raise error

    for there in (False, True):
        with pytest.raises(type(error)):
            fail()
        assert list(tmp_path.iterdir()) == [target] * there
        with home.publish(target) as path:
            write(path, "whole")
    assert content(target) == {"whole"}


def test_a_folder_that_cannot_be_put_in_place_gives_back_the_older_one(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    with home.publish(target) as path:
        write(path, "old")

    def refuse(self, target):
        raise PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(PermissionError), home.publish(target) as path:
            write(path, "new")
    assert content(target) == {"old"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("replace", [True, False])
def test_any_number_may_publish_the_same_at_once(tmp_path, replace):
    target, count = tmp_path / "above" / "folder", 6
    together, outcomes = Barrier(count), []

    def publish(number):
        try:
            for _ in range(5):
                with home.publish(target, replace=replace, work=tmp_path) as path:
                    write(path, str(number))
                    together.wait(20)
        except FileExistsError:
            together.abort()
            outcomes.append("there")
        except Exception as error:
            outcomes.append(repr(error))

    threads = [Thread(target=publish, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(content(target)) == 1, "whole, and of one of them"
    assert [each for each in outcomes if "there" not in each and "Broken" not in each] == []
    assert bool(outcomes) != replace
    assert list(tmp_path.iterdir()) == [target.parent]


def test_a_folder_around_the_target_may_go_meanwhile(tmp_path):
    target = tmp_path / "above" / "file"
    with home.publish(target, work=tmp_path) as path:
        path.write_text("here")
    with home.publish(target, work=tmp_path) as path:
        path.write_text("again")
        target.unlink()
        target.parent.rmdir()
    assert target.read_text() == "again"


def test_a_removed_folder_is_gone_also_where_it_cannot_be_read(tmp_path):
    target = tmp_path / "folder"
    home.remove(target)
    write(target, "x")
    target.chmod(0)
    home.remove(target)
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_swept_by_name_or_age(tmp_path):
    left = [tmp_path / f".{name}.partial.x" for name in ("a", "b[c]", "a.b")]
    for path in left:
        path.mkdir()
    home.sweep(tmp_path, "b[c]")
    home.sweep(tmp_path, seconds=60)
    assert sorted(tmp_path.iterdir()) == [left[2], left[0]]
    home.sweep(tmp_path, "a")
    assert list(tmp_path.iterdir()) == [left[2]]
    home.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
