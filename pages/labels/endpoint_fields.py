"""Where a chat model answers: what the form of labels and the card of a neuron ask alike."""

from __future__ import annotations

from collections.abc import Sequence

from streamlit.delta_generator import DeltaGenerator

from neuronlab.errors import UserError
from neuronlab.labels import endpoint


def draw(columns: Sequence[DeltaGenerator], name: str) -> dict[str, str]:
    """Its address, the model's name there (``answers_by``), and the key, as they are typed.

    Args:
        columns: three, of a field each.
        name: of the widgets: unique on the page.
    """
    one, two, three = columns
    preset = _environment()
    address = one.text_input(
        "Address", preset.address if preset else "", key=f"{name}_address", max_chars=300,
        placeholder="http://localhost:8080/v1",
    )  # fmt: skip
    model = two.text_input(
        "Model", preset.model if preset else "", key=f"{name}_llm", max_chars=100
    )
    key = three.text_input(
        "Key", type="password", key=f"{name}_key", max_chars=500,
        help="Held in memory for this run alone; no result has it. Empty: that of the "
        "environment, if the address is.",
    )  # fmt: skip
    return {"address": address, "answers_by": model, "key": key}


def _environment() -> endpoint.Endpoint | None:
    try:
        return endpoint.from_environment()
    except UserError:
        return None
