"""Attribution on a GPU: is it correct, how fast is it, and does the app run there? In one run.

    PYTHONPATH=. python benchmarks/gpu.py                          # all parts on the first card
    PYTHONPATH=. python benchmarks/gpu.py --part speed             # one part; the others are kept
    PYTHONPATH=. python benchmarks/gpu.py --device cpu --small     # the same on the processor

Needs no fetched model: all models are random, the large ones made on the card. Each part runs in
a process of its own, for so many seconds at most; what it has found after each step is written to
the report at once (``--out``), and a part that is cut off goes on with the steps that are missing
when it is called again. The report ends as the tables that are printed last.

* ``correct``: tiny models of every family, on the card against the processor: all methods,
  predictions, interventions, generation, streams; cancelled runs, two at once, refused ones.
* ``speed``: shapes of GPT2-large, Llama-2-7B, Llama-3-8B and ESM-2 (650M and 3B) beside the usual
  loop and Captum, with the agreement of the results, and how near to the card's limits.
* ``app``: the pages for attribution and steering from Run to result, and on a full card.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

ROOT = Path(__file__).parents[1]
# The tiny models are those of the tests.
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]
# Seconds: together under eight minutes.
LIMITS = {"correct": 130, "speed": 260, "app": 70}
Row = dict[str, Any]


def _number(value: Any) -> Any:
    """NumPy's and torch's numbers, for JSON."""
    return value.item()


class Report:
    """The rows that every step found, on disk after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = {"machine": {}, "steps": {}}
        if path.is_file():
            self.content = json.loads(path.read_text("utf-8"))

    def has(self, part: str, step: str) -> bool:
        """Whether a step was finished."""
        return step in self.content["steps"].get(part, {})

    def add(self, part: str, step: str, rows: list[Row]) -> None:
        """Keep what a step found."""
        self.content["steps"].setdefault(part, {})[step] = rows
        self.save()

    def drop(self, part: str) -> None:
        """Forget a part."""
        self.content["steps"].pop(part, None)
        self.save()

    def save(self) -> None:
        """Write all of it, whole or not at all."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.content, indent=1, default=_number), "utf-8")
        partial.replace(self.path)

    def rows(self, part: str) -> list[Row]:
        """All rows of a part."""
        return [row for rows in self.content["steps"].get(part, {}).values() for row in rows]

    def failures(self, parts: list[str]) -> list[str]:
        """What is wrong, in words."""
        return [
            f"{part}: {row}"
            for part in parts
            for row in self.rows(part)
            if row.get("passed") is False
        ]


def machine(device: str) -> dict[str, str]:
    """What the numbers depend on."""
    import transformers

    name = f"{torch.get_num_threads()} threads"
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    return {
        "device": f"{device}: {name}",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "float32 products": f"'{torch.get_float32_matmul_precision()}' (TF32 only where said)",
    }


def work(part: str, report: Report, device: str, small: bool, seconds: float) -> None:
    """Run the missing steps of a part in this process until its time is over."""
    began = time.monotonic()
    module = importlib.import_module(f"on_gpu.{part}")
    report.content["machine"] = machine(device)
    steps: Iterator[tuple[str, Any]] = module.steps(device, small)
    for name, step in steps:
        if report.has(part, name):
            continue
        if time.monotonic() - began > seconds:
            print(f"{part}: no time left for {name}", flush=True)
            continue
        start = time.monotonic()
        try:
            rows = step()
        except Exception as error:  # the next step may still tell something
            import traceback

            traceback.print_exc()
            rows = [{"check": name, "passed": False, "error": f"{type(error).__name__}: {error}"}]
        report.add(part, name, rows)
        print(f"{part}: {name}: {time.monotonic() - start:.1f} s", flush=True)


def table(part: str, rows: list[Row]) -> str:
    """The rows as Markdown."""
    module = importlib.import_module(f"on_gpu.{part}")
    frame = module.summary(pd.DataFrame(rows))
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run parts, print the tables; 1 when a check failed or a part did not end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=list(LIMITS), action="append", help="default: all")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--small", action="store_true", help="tiny shapes and few models: minutes")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="default: gpu.json")
    parser.add_argument("--seconds", type=float, help="for each part, instead of its own limit")
    parser.add_argument("--fresh", action="store_true", help="forget what the report has of a part")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    parts = args.part or list(LIMITS)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no CUDA device here: --device cpu --small runs the same on the processor.")
        return 1
    if args.worker:
        report = Report(args.out)
        work(parts[0], report, args.device, args.small, args.seconds)
        return 0
    ended = True
    for part in parts:
        seconds = args.seconds or LIMITS[part]
        if args.fresh:
            Report(args.out).drop(part)
        command = [sys.executable, __file__, "--worker", "--part", part, "--out", str(args.out)]
        command += ["--device", args.device, "--seconds", str(seconds), *["--small"] * args.small]
        try:
            # A step that hangs must not take the other parts' time.
            code = subprocess.run(command, cwd=ROOT, timeout=seconds + 30, check=False).returncode
        except subprocess.TimeoutExpired:
            code = -1
        if code:
            ended = False
            print(f"{part} did not end (code {code})")
    report = Report(args.out)
    print("\n" + ", ".join(f"{name} {value}" for name, value in report.content["machine"].items()))
    for part in parts:
        if report.rows(part):
            print(f"\n### {part}\n\n{table(part, report.rows(part))}")
    for failure in report.failures(parts):
        print(f"FAILED {failure}")
    return 0 if ended and not report.failures(parts) else 1


if __name__ == "__main__":
    sys.exit(main())
