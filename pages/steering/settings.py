"""How much of a protein is generated, and how: the settings of a steering run."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator as Column

from neuronlab.proteins.predictors import PREDICTORS
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import model_fetch
from neuronlab.widgets.guard import plain

# What the form takes; a run from elsewhere may have more.
MOST_SEED = 10_000
MODES = {
    "masked": "masked iteration",
    "full": "full resampling",
    "best": "best of so many",
}
# In the session, of the run that filled the form: settings for which it may have no widgets.
REST = "steer_rest"
# How much is generated: by the keys of the settings. Random sets of "Full" allow p below .01.
_PRESETS = {
    "Quick": {"steer_chains": 2, "steer_random": 20, "steer_dose": False},
    "Full": {"steer_chains": 4, "steer_random": 100, "steer_dose": True},
}


def presets(first: SteeringSpec) -> None:
    """How much is generated, in one click.

    Args:
        first: the example of the model, whose steps they have.
    """
    pace = {"steer_steps": first.steps, "steer_masked": round(100 * first.masked)}
    for name, counts in _PRESETS.items():
        st.button(
            name,
            key=f"steer_preset_{name}",
            on_click=st.session_state.update,
            args=(counts | pace,),
            help=amount(counts["steer_chains"], first.steps, counts["steer_random"]) + ".",
        )


def amount(chains: int, steps: int, random_sets: int) -> str:
    """How much is generated, in words."""
    return f"{chains} chains of {steps} steps, {random_sets} random sets of either kind"


def settings(*, antibody: bool) -> dict:
    columns = st.columns(4)
    chosen = _generation(*columns) | _chains(*columns) | _after(*columns, antibody)
    predictor = chosen["predictor"]
    if predictor == "igfold" and PREDICTORS[predictor].available():
        model_fetch.ready("igfold")
    return chosen


def _generation(one: Column, two: Column, three: Column, four: Column) -> dict:
    """How residues are drawn."""
    mode = one.selectbox("Generation", list(MODES), format_func=MODES.__getitem__, key="steer_mode")
    steps = two.number_input("Steps", 1, 2000, key="steer_steps")
    masked = three.number_input(
        "Hidden at a step, in %",
        1,
        100,
        key="steer_masked",
        disabled=mode != "masked",
    )
    temperature = four.number_input("Temperature", 0.05, 10.0, 1.0, 0.05, key="steer_t")
    rounded = one.toggle(
        "Products in bfloat16",
        key="steer_half",
        help="Little more than half the time where the processor has it; the chains come out as "
        "others, since the model draws from slightly other probabilities.",
    )
    return {
        "mode": mode,
        "steps": steps,
        "masked": masked / 100,
        "temperature": temperature,
        "precision": "bfloat16" if rounded else "float32",
    }


def _chains(one: Column, two: Column, three: Column, four: Column) -> dict:
    """How many chains, what they are compared with, and where neurons change."""
    return {
        "chains": one.number_input(
            "Chains",
            2,
            64,
            key="steer_chains",
            help="Steered, as many unsteered, and as many of every random set.",
        ),
        "random_sets": two.number_input(
            "Random sets of either kind",
            20,
            200,
            key="steer_random",
            help="Any neurons of the same layers; and such as are matched in activity. The "
            "more sets, the smaller p can be: 1 / (sets + 1).",
        ),
        "seed": three.number_input("Seed", 0, MOST_SEED, 0, key="steer_seed"),
        "positions": four.selectbox(
            "Neurons change at",
            ["all", "free"],
            format_func={"all": "all residues", "free": "the free residues"}.__getitem__,
            key="steer_positions",
        ),
    }


def _after(one: Column, two: Column, three: Column, four: Column, antibody: bool) -> dict:
    """How long the protein is made, and what is looked at besides: other doses, structures."""
    length = one.number_input(
        "Length (0: as it is)", 0, 1000, 0, key="steer_length", help="Random residues are added."
    )
    rest = {name: SteeringSpec.model_fields[name].default for name in ("dose_a", "dose_b")}
    rest |= st.session_state[REST]
    dose = two.toggle(
        "Try other a and b",
        key="steer_dose",
        help=f"a of {_listed(rest['dose_a'])}, with b of {_listed(rest['dose_b'])}: two chains "
        f"of {rest['dose_steps']} steps each.",
    )
    predictors = ["", *PREDICTORS]
    predictor = three.selectbox(
        "Structures",
        predictors,
        predictors.index("flash-abb" if antibody else ""),
        format_func=lambda n: PREDICTORS[n].title if n else "none",
        key=f"steer_predictor_{antibody}",
    )
    if predictor:
        method = PREDICTORS[predictor]
        four.caption(plain(f"{method.what} {method.licence}."))
    rest |= {} if dose else {"dose_a": (), "dose_b": ()}
    return {"length": length or None, "predictor": predictor, **rest}


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
