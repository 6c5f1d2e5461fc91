"""The GPU script: the same on the processor here, and the real thing where there is a card."""

import json
import math
import subprocess
import sys

import gpu
import numpy as np
import psutil
import pytest
import torch
from on_gpu import correct
from tiny_models import TINY

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("pair", TINY, ids="-".join)
def test_a_gpu_computes_what_the_processor_does_and_is_left_as_it_was(pair):
    failed = [row for row in correct.checks(*pair, "cuda:0") if not row["passed"]]
    assert failed == []


@pytest.mark.gpu
@needs_gpu
def test_a_run_that_a_full_gpu_has_no_room_for_is_refused():
    (row,) = correct.refused("cuda:0")
    assert row["passed"], row


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    arguments = ["--device", "cpu", "--small", "--out", str(path)]
    assert gpu.main(arguments) == 0
    return path


@pytest.mark.slow
def test_every_part_leaves_rows_and_no_failure(report):
    found = gpu.Report(report)
    assert set(found.content["steps"]) == {"correct", "speed", "app"}
    assert found.failures(list(gpu.LIMITS)) == []
    checks = {row["check"] for row in found.rows("correct")}
    assert {"integrated_gradients", "cancelled", "generation", "exemplars"} <= checks
    # bfloat16 is not the processor's float32: those rows compare two different things.
    rounded = [row for row in found.rows("correct") if row["type"] == "bfloat16"]
    assert max(row.get("difference", 0.0) for row in rounded) > 1e-3
    speed = [row for row in found.rows("speed") if row["what"].startswith("FFN")]
    assert speed
    assert all(row["error"] < row["loop error"] for row in speed)
    assert all(row["passed"] and row["from captum"] > 0 for row in speed)
    assert all(row["seconds"] > 0 and row["nodes"] > 0 for row in speed)
    assert [row["check"] for row in found.rows("app")] == ["attribution page", "steering page"]


@pytest.mark.slow
def test_a_part_that_was_cut_off_goes_on_with_what_is_missing(report, capfd):
    content = json.loads(report.read_text())
    steps = content["steps"]["correct"]
    missing = next(iter(steps))
    del steps[missing]
    report.write_text(json.dumps(content))
    arguments = ["--device", "cpu", "--small", "--out", str(report), "--part", "correct"]
    assert gpu.main(arguments) == 0
    ran = [line for line in capfd.readouterr().out.splitlines() if line.endswith(" s")]
    assert [line.split(":")[1].strip() for line in ran] == [missing]


def test_a_failed_check_is_told_and_a_step_that_broke_off_is_tried_again(tmp_path):
    path = tmp_path / "gpu.json"
    found = gpu.Report(path)
    found.add("correct", "one", [{"check": "predictions", "passed": False, "difference": 0.5}])
    found.add("correct", "two", [{"check": "two", "passed": False, "error": "OSError: x"}])
    again = gpu.Report(path)
    assert len(again.failures(["correct"])) == 2
    assert again.has("correct", "one")
    assert not again.has("correct", "two")
    assert "predictions" in gpu.table("correct", again.rows("correct"))


@pytest.mark.slow
def test_rows_of_another_machine_are_not_taken_for_this_ones(report, capsys):
    """Nor those of small shapes for those of real ones."""
    assert gpu.main(["--device", "cpu", "--out", str(report), "--part", "app"]) == 1
    assert "another machine or other shapes" in capsys.readouterr().out


def test_numbers_that_are_none_fail(tmp_path):
    assert correct._apart({"ffn": np.ones((1, 2))}, {"ffn": np.array([[1.0, np.nan]])}) == math.inf
    found = gpu.Report(tmp_path / "gpu.json")
    found.add("speed", "one", [{"what": "FFN", "error": np.float32("nan"), "n": np.int64(3)}])
    (row,) = json.loads((tmp_path / "gpu.json").read_text())["steps"]["speed"]["one"]
    assert row == {"what": "FFN", "error": None, "n": 3}


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.long
def test_a_part_without_time_for_its_steps_did_not_end(tmp_path, capfd):
    path = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--small", "--part", "speed", "--seconds", "0.001"]
    assert gpu.main([*arguments, "--out", str(path)]) == 1
    assert "no time left" in capfd.readouterr().out


@pytest.mark.slow
def test_a_killed_script_takes_its_part_along_and_goes_on_later(tmp_path):
    path = tmp_path / "gpu.json"
    command = [sys.executable, gpu.__file__, "--device", "cpu", "--small", "--part", "correct"]
    script = subprocess.Popen([*command, "--out", str(path)], stdout=subprocess.PIPE, text=True)
    assert "llama-causal" in next(line for line in script.stdout if "correct:" in line)
    children = psutil.Process(script.pid).children(recursive=True)
    assert children
    script.terminate()
    assert script.wait(30) == 1
    assert "goes on where it was" in script.stdout.read()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert gpu.Report(path).has("correct", "llama-causal")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "tpu", "", "cpu:1:2"])
def test_devices_that_do_not_exist_are_refused(device, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--device", device])
    assert "cuda:N" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_what_to_do_instead(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 1
    assert "--device cpu --small" in capsys.readouterr().out
