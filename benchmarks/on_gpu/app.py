"""The app on a device: from Run to result, and what it says when the device is full."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import tiny_models
import torch
from app_without_browser import MENDS
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]
# Seconds for a run; tiny models take one or two.
PATIENCE = 20.0


def steps(
    device: str, small: bool, rows: list[Row]
) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Each page in a session of its own, on models in folders."""
    folder = Path(tempfile.mkdtemp(prefix="neuronlab-gpu-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NEURONLAB_HOME"] = str(folder / "home")
    for mend in MENDS:
        setattr(*mend)
    yield "attribution page", lambda: [attribution(folder, device)]
    yield "steering page", lambda: [steering(folder, device)]
    if device.startswith("cuda"):
        yield "full card", lambda: full(folder, device)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """As it is."""
    shown = [name for name in ("check", "passed", "seconds", "says") if name in rows]
    found = rows[shown].copy()
    if "seconds" in found:
        found["seconds"] = found["seconds"].map(lambda s: "" if s != s else f"{s:.1f}")
    return found.fillna("")


def saved(folder: Path, model_type: str, kind: str, **options: Any) -> str:
    """A tiny model in a folder, as a person has one."""
    place = folder / f"{model_type}-{kind}"
    if not place.exists():
        model = tiny_models.build(model_type, kind, folder, **options)
        model.hf.save_pretrained(place)
        model.tokenizer.save_pretrained(place)
    return str(place)


class Session:
    """One visitor of one page."""

    def __init__(self, page: str, model: str, device: str) -> None:
        self.page, self.device = page, device
        self.at = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=120)
        self.at.session_state["model"] = model
        self.at._page_hash = calc_hash(page)
        self.at.run()
        # As a person does: from the list of what there is.
        self.at.selectbox(key="device").set_value(device)
        self.settle()

    def settle(self) -> None:
        """Until no run is under way."""
        from neuronlab.widgets import services

        self.at.run()
        until = time.monotonic() + PATIENCE
        while any(run.active for run in services.queue().runs()) and time.monotonic() < until:
            time.sleep(0.02)
        self.at.run()

    def press_run(self) -> tuple[float, dict[str, Any]]:
        """Seconds from Run to the page with its result, and the run."""
        from neuronlab.widgets import services

        before = {run.key for run in services.queue().runs()}
        start = time.perf_counter()
        self.at.button(key="run").click()
        self.settle()
        seconds = time.perf_counter() - start
        runs = [run for run in services.queue().runs() if run.key not in before]
        return seconds, {"status": runs[0].status if runs else "none", "device": self.ran_on()}

    def ran_on(self) -> str:
        """Where the weights of this session's model are."""
        from neuronlab.models import sharing

        name = self.at.session_state["model"]
        return ", ".join(str(m.device) for (n, _), m in sharing._shared.items() if n == name)

    def errors(self) -> list[str]:
        """What the page says is wrong, but that a machine without a connection has no 3D viewer."""
        said = [e.message for e in self.at.exception] + [e.value for e in self.at.error]
        return [error for error in said if not error.startswith("3D views need a viewer")]

    def row(self, check: str, seconds: float, run: dict[str, Any]) -> Row:
        """What a step reports."""
        errors = self.errors()
        return {
            "check": check,
            "passed": not errors and run["status"] == "done" and run["device"] == self.device,
            "seconds": seconds,
            "says": errors[0] if errors else f"run {run['status']} on {run['device']}",
        }


def attribution(folder: Path, device: str) -> Row:
    """The first page: another prompt than it opens with, then Run."""
    session = Session("attribution", saved(folder, "llama", "causal"), device)
    box = next(w for w in session.at.text_area if w.key and w.key.startswith("text_"))
    box.set_value("the quick brown fox is the capital of")
    session.at.run()
    return session.row("attribution page", *session.press_run())


def steering(folder: Path, device: str) -> Row:
    """The steering page on a masked protein model, as it opens, then another seed."""
    session = Session(
        "steering",
        saved(folder, "bert", "masked", protein=True, max_position_embeddings=256),
        device,
    )
    errors = session.errors()
    if errors:
        return {"check": "steering page", "passed": False, "says": errors[0]}
    steps_ = next(w for w in session.at.number_input if w.key and "steps" in w.key)
    steps_.set_value(3)
    session.at.run()
    return session.row("steering page", *session.press_run())


def full(folder: Path, device: str) -> list[Row]:
    """A run, and the loading of a model, on a card that has no room."""
    settings = {"intermediate_size": 2**17}
    place = folder / "wide"
    if not place.exists():
        model = tiny_models.build("llama", "causal", folder, **settings)
        model.hf.save_pretrained(place)
        model.tokenizer.save_pretrained(place)
    session = Session("attribution", str(place), device)
    box = next(w for w in session.at.text_area if w.key and w.key.startswith("text_"))
    box.set_value(" ".join(["fox"] * 60))
    session.at.run()
    places = next(w for w in session.at.selectbox if w.key and w.key.startswith("position"))
    places.set_value("all")
    session.at.run()
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(device)[0]
    # A run over all positions of this model takes half a gigabyte.
    ballast = torch.empty(max(0, free - 2**27), device=device, dtype=torch.uint8)
    session.press_run()
    said = session.errors()
    rows = [_refusal("a run on a full card", said)]
    other = Session("attribution", saved(folder, "gpt2", "causal"), device)
    rows.append(_refusal("loading on a full card", other.errors()))
    del ballast
    return rows


def _refusal(check: str, said: list[str]) -> Row:
    good = len(said) == 1 and "are free on" in said[0]
    return {"check": check, "passed": good, "says": said[0] if said else "nothing"}
