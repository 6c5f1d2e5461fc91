"""Attribution on a GPU: is it correct, how fast is it, and does the app run there? In one run.

    python benchmarks/gpu.py                          # all parts on the first card
    python benchmarks/gpu.py --part speed             # one part; the others are kept
    python benchmarks/gpu.py --device cpu --small     # the same on the processor

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
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

ROOT = Path(__file__).parents[1]
# The tiny models are those of the tests.
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]
# Seconds in which a part may begin a step, and those that its last one may take beyond them:
# together under eight minutes.
LIMITS = {"correct": 130, "speed": 230, "app": 45}
GRACE = 20
UNFINISHED = 3
Row = dict[str, Any]


def _plain(value: Any) -> Any:
    """For JSON: NumPy's and torch's numbers as such, and None for what is no number."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Report:
    """The rows that every step found, on disk after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = {"machine": {}, "steps": {}}
        if path.is_file():
            self.content = json.loads(path.read_text("utf-8"))

    def belongs(self, machine: dict[str, str]) -> bool:
        """Whether what is there was found on this machine; an empty report belongs to any."""
        return not self.content["steps"] or self.content["machine"] == machine

    def has(self, part: str, step: str) -> bool:
        """Whether a step was finished; one that broke off is tried again."""
        rows = self.content["steps"].get(part, {}).get(step)
        return rows is not None and not any("error" in row for row in rows)

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
        text = json.dumps(_plain(self.content), indent=1, allow_nan=False)
        from neuronlab import home

        with home.publish(self.path) as path:
            path.write_text(text, "utf-8")

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


def machine(device: str, small: bool) -> dict[str, str]:
    """What the numbers depend on."""
    name = f"{torch.get_num_threads()} threads"
    if device.startswith("cuda"):
        card = torch.cuda.get_device_properties(device)
        name = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    return {
        "device": f"{device}: {name}",
        "shapes": "small" if small else "full",
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "float32 products": f"'{torch.get_float32_matmul_precision()}' (TF32 only where said)",
    }


def work(part: str, report: Report, device: str, small: bool, seconds: float) -> bool:
    """Run the missing steps of a part in this process; whether there was time for all."""
    began = time.monotonic()
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    module = importlib.import_module(f"on_gpu.{part}")
    report.content["machine"] = machine(device, small)
    steps: Iterator[tuple[str, Any]] = module.steps(device, small, report.rows(part))
    finished = True
    for name, step in steps:
        if report.has(part, name):
            continue
        if time.monotonic() - began > seconds:
            print(f"{part}: no time left for {name}", flush=True)
            finished = False
            continue
        start = time.monotonic()
        try:
            rows = step()
        except Exception as error:  # the next step may still tell something
            import traceback

            traceback.print_exc()
            rows = [{"model": name, "check": name, "what": "broke off", "passed": False}]
            rows[0]["error"] = f"{type(error).__name__}: {error}"
        took = time.monotonic() - start
        report.add(part, name, [{**row, "step seconds": round(took, 2)} for row in rows])
        print(f"{part}: {name}: {took:.1f} s", flush=True)
    return finished


def child(command: list[str], seconds: float) -> int:
    """Run a part in a process of its own, which ends with this one or when its time is over."""
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        process.kill()
        process.wait()


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
    parser.add_argument("--fresh", action="store_true", help="forget what the report has")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    out = args.out.absolute()
    parts = args.part or list(LIMITS)
    kind, _, number = args.device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        parser.error("--device is cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        print("There is no such CUDA device here: --device cpu --small runs on the processor.")
        return 1
    device = "cpu" if kind == "cpu" else f"cuda:{number or 0}"
    report = Report(out)
    if not args.fresh and not report.belongs(machine(device, args.small)):
        print(f"{args.out} is of another machine or other shapes: name another --out, or --fresh.")
        return 1
    if args.worker:
        seconds = args.seconds or LIMITS[parts[0]]
        ended = work(parts[0], report, device, args.small, seconds)
        return 0 if ended else UNFINISHED
    if args.fresh:
        report.content["steps"] = {}
        report.save()
    ended = _run(args, parts, device, out)
    report = Report(out)
    print("\n" + ", ".join(f"{name} {value}" for name, value in report.content["machine"].items()))
    for part in parts:
        if report.rows(part):
            print(f"\n### {part}\n\n{table(part, report.rows(part))}")
    for failure in report.failures(parts):
        print(f"FAILED {failure}")
    return 0 if ended and not report.failures(parts) else 1


def _run(args: argparse.Namespace, parts: list[str], device: str, out: Path) -> bool:
    """Run the parts one after the other; whether all came to their end."""
    ended = True

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        for part in parts:
            seconds = args.seconds or LIMITS[part]
            command = [sys.executable, __file__, "--worker", "--part", part, "--out", str(out)]
            command += ["--device", device, "--seconds", str(seconds), *["--small"] * args.small]
            code = child(command, seconds + GRACE)
            if code:
                ended = False
                why = "had no time for all steps" if code in (-1, UNFINISHED) else f"ended: {code}"
                print(f"{part} {why}; the same command goes on where it was", flush=True)
    except KeyboardInterrupt:
        print("Stopped: the same command goes on where it was.", flush=True)
        return False
    finally:
        signal.signal(signal.SIGTERM, before)
    return ended


if __name__ == "__main__":
    sys.exit(main())
