"""The view of every mutation: a click asks which neurons prefer it over the wild type."""

from functools import partial
from math import ceil

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.mutations import COLUMNS, measured_scatter, mutation_blocks, scale_limit
from neuronlab.models import Model
from neuronlab.proteins.measured import Agreement, MeasuredSet, agreement, measured
from neuronlab.runs import Result
from neuronlab.studies.attribution import default_positions
from neuronlab.studies.mutations import MutationsSpec
from neuronlab.verdicts import domain
from neuronlab.widgets import (
    badges,
    exports,
    links,
    neuron_maps,
    prompt_form,
    sections,
    services,
    shown,
)

STUDY = "mutations"
_PREFERRED = 20


def draw(model: Model) -> None:
    """The protein, its run, and the map."""
    sequence = prompt_form.protein(model)
    spec = None
    if sequence is not None:
        spec = MutationsSpec(model=model.name, revision=model.revision, text=sequence)
    shown.run_button(spec)
    if links.shown(STUDY) is None and spec is not None and services.at_hand(spec.key):
        links.show(spec.key, STUDY)
    finished = shown.finished(STUDY, model.name, spec, None, partial(preview, model))
    if finished is None:
        st.caption("The map hides each residue in turn and asks the model what should stand there.")
        return
    results(model, *finished)


def preview(model: Model, spec: MutationsSpec, result: Result) -> None:
    """The map of a single pass, while residues are hidden in turn."""
    if badges.draw(domain(model.name, result.numbers["sequence"], "protein")):
        blocks(model, result, "with nothing hidden")


def results(model: Model, spec: MutationsSpec, result: Result) -> None:
    """The map, and what the model would rather see."""
    sequence, table = result.numbers["sequence"], result.tables["mutations"]
    first = table.iloc[0]
    st.markdown(
        f"At **{result.numbers['preferred']}** of {len(sequence)} positions the model would rather "
        "see another residue; most of all "
        f"**{first['wild_type']}{first['position']}{first['mutant']}** "
        f"({first['log_odds']:+.2f}). Click a cell: which neurons prefer that residue over the "
        "wild type, and what is left of it without them?"
    )
    if not badges.draw(domain(model.name, sequence, "protein")):
        return
    blocks(model, result, "with the position hidden")
    exports.tables(table, "mutations")
    measurements = measured(sequence)
    if measurements is not None:
        beside(measurements, agreement(measurements, result.arrays["log_odds"]))
    with st.expander(f"The {_PREFERRED} mutations that the model prefers most"):
        exports.listed(table.head(_PREFERRED))
    exports.share(spec.key, study_python(spec), study_command(spec))


def blocks(model: Model, result: Result, asked: str) -> None:
    """The map in blocks of residues, side by side.

    Args:
        asked: how the model was asked, in words.
    """
    sequence = result.numbers["sequence"]
    st.caption(
        f"Log-odds: ln p(mutant) − ln p(wild type), {asked}; colours end at "
        f"±{scale_limit(sequence, result.arrays['log_odds']):.1f}, which 2 % of the substitutions "
        "exceed. Rows are positions, columns residues; the wild type has its letter and a "
        "border."
    )
    grids = mutation_blocks(sequence, result.arrays["log_odds"])
    for row in range(ceil(len(grids) / COLUMNS)):
        few = grids[COLUMNS * row : COLUMNS * (row + 1)]
        for column, (grid, height) in zip(st.columns(COLUMNS), few, strict=False):
            with column:
                start, stop = grid.cells["position"].iloc[[0, -1]]
                neuron_maps.clickable(
                    grid,
                    f"mutations_{start}",
                    height,
                    f"Heatmap of residues {start} to {stop} by the 20 that could stand there.",
                    partial(ask, model.name, sequence),
                    files=False,
                )


def beside(measurements: MeasuredSet, held: Agreement) -> None:
    """The map beside what was measured of the same protein."""
    st.markdown(
        f"**Beside measured effects**: {measurements.what}. Spearman's correlation with the "
        "log-odds is "
        f"**{held.model:.2f}** (95 % interval over positions {held.low:.2f} to {held.high:.2f}); "
        f"with BLOSUM62, which knows no protein, {held.blosum62:.2f}."
    )
    exports.chart(
        measured_scatter(held.table, measurements.effect),
        held.table,
        "measured",
        "Scatter: the measured effect of each mutation over its log-odds.",
    )


def ask(model: str, sequence: str, cell: pd.Series) -> None:
    """Put a mutation into the form of the other view, and let it run."""
    wild, mutant = cell["wild_type"], cell["mutant"]
    prompt_form.fill(
        {
            "model": model,
            "text": sequence,
            "mask": int(cell["position"]) - 1,
            "target": mutant,
            "foil": None if mutant == wild else wild,
            "positions": default_positions("masked"),
        }
    )
    sections.turn_to("attribution")
    st.session_state["asked"] = True
