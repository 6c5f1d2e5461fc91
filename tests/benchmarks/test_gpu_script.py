"""The GPU script: the same on the processor here, and the real thing where there is a card."""

import json

import gpu
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
    assert all(row["seconds"] > 0 and row["nodes"] > 0 for row in speed)
    assert [row["check"] for row in found.rows("app")] == ["attribution page", "steering page"]


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


def test_a_failed_check_is_told(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    found = gpu.Report(path)
    found.add("correct", "one", [{"check": "predictions", "passed": False, "difference": 0.5}])
    assert gpu.Report(path).failures(["correct"]) != []
    assert "predictions" in gpu.table("correct", gpu.Report(path).rows("correct"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_what_to_do_instead(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 1
    assert "--device cpu --small" in capsys.readouterr().out
