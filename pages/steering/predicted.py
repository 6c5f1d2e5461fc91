"""What the sequences alone say: predicted secondary structure, and contacts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures.secondary import contact_changes, secondary_lines, secondary_table
from neuronlab.models import Model, weights
from neuronlab.models.catalogue import title_of
from neuronlab.proteins import secondary
from neuronlab.steering.chains import STEERED, UNSTEERED, median_chain
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import exports, services
from neuronlab.widgets.guard import guard, plain
from pages.steering.structures import LINKED

START = "start"


def predicted(model: Model, spec: SteeringSpec, finals: pd.DataFrame) -> None:
    """Of the start and of the chains whose value is the median, unsteered and steered."""
    name = spec.goals[0].property
    rows = {c: finals.loc[median_chain(finals, c, name)] for c in (UNSTEERED, STEERED)}
    sequences = {START: spec.begin} | {c: str(row["sequence"]) for c, row in rows.items()}
    reached = " and ".join(f"{c} {row[name]:+.3g}" for c, row in rows.items())
    st.caption(
        f"Of the start, and of one chain of each kind, that of median value ({reached}); of two "
        "chains the one of less value. The headline's values are means over all chains."
    )
    with guard():
        helices_and_strands(sequences)
    with guard():
        contacts(model, sequences)


def helices_and_strands(sequences: dict[str, str]) -> None:
    """Where each has a helix or a strand, as ESM-2 8M's last layer tells it."""
    st.markdown("**Secondary structure**, predicted from the sequence alone.")
    if not weights.installed(secondary.MODEL):
        st.caption(
            f"{plain(title_of(secondary.MODEL))}, which predicts it, is not on this machine yet: "
            "fetch it on the page “Models”."
        )
        return
    table = secondary_table(
        list(sequences.values()), _secondary(tuple(sequences.values())), list(sequences)
    )
    exports.chart(
        secondary_lines(table),
        table,
        "predicted_secondary",
        "Lines: how likely a helix and a strand is along the sequence, before and after.",
        linked=LINKED,
    )
    of_test = secondary.card()["test"]
    st.caption(
        f"Right for {of_test['q3']:.0%} of the residues of {of_test['chains']} chains that it has "
        "not seen; its probabilities are calibrated on others. A sequence that would never fold "
        "gets a prediction, too."
    )


def contacts(model: Model, sequences: dict[str, str]) -> None:
    """Which residues touch as the model sees it, at the start and in the steered chain."""
    maps = [services.contacts(model, sequences[name]) for name in (START, STEERED)]
    if maps[0] is None or maps[1] is None:
        return
    st.markdown("**Contacts** that the model predicts, before and after.")
    i, j = np.triu_indices(len(maps[0]), 4)
    pairs = pd.DataFrame({"a": i + 1, "b": j + 1, START: maps[0][i, j], STEERED: maps[1][i, j]})
    both, change = contact_changes(maps[0], maps[1], (START, STEERED))
    left, right = st.columns(2)
    with left:
        exports.chart(
            both,
            pairs,
            "contacts",
            "Heatmap: predicted contacts, at the start and in the steered chain.",
        )
    with right:
        exports.chart(
            change,
            pairs,
            "contact_changes",
            "Heatmap: which contacts are likelier in the steered chain than at the start.",
        )


@st.cache_data(max_entries=16, show_spinner=False)
def _secondary(sequences: tuple[str, ...]) -> list[secondary.Secondary]:
    return secondary.predicted(sequences)
