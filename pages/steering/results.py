"""What steering did: beside the model left alone and beside random neurons."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures import steering as figures
from neuronlab.figures import tokens
from neuronlab.models import Model
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.effect import CONTROLS
from neuronlab.proteins.antibodies import imgt_numbers, variable_domain
from neuronlab.runs import Result
from neuronlab.steering.chains import STEERED, UNSTEERED, median_chain
from neuronlab.studies.steering import SteeringSpec
from neuronlab.verdicts import Verdict, domain
from neuronlab.widgets import badges, exports, label_sets, sections, state, token_strip
from neuronlab.widgets.guard import counted, guard, plain
from pages.steering.findings import about, headline, title, warnings
from pages.steering.predicted import predicted
from pages.steering.structures import (
    LINKED,
    chosen_neurons,
    in_space,
    on_the_starts_backbone,
    structures,
)


def results(model: Model, spec: SteeringSpec, result: Result) -> None:
    """The headline, what has changed, in space, too, and what speaks for and against it."""
    goals = result.numbers["goals"]
    which = 0
    if len(goals) > 1:
        which = st.segmented_control(
            "Goal",
            range(len(goals)),
            default=0,
            format_func=lambda i: title(goals[i]),
            key=f"steer_shown_{spec.key}",
            required=True,
        )
    goal = goals[which]
    finals = result.tables["finals"]
    headline(goal)
    first = st.container()
    if not badges.draw(start_domain(model, spec)):
        return
    with first:
        changes(model, goal, spec, result)
    warnings(finals)
    about(goal, spec, result.numbers["activity"], finals)
    structures(spec, result)
    sections.draw(
        {
            "Property": partial(reached, goal, spec, result),
            "Cost": partial(cost, spec, finals),
            "Residues": partial(residues, spec, finals),
            "Prediction": partial(predicted, model, spec, finals),
            "Neurons": partial(neurons, spec, result),
        }
    )
    fasta(spec, finals)
    exports.share(spec.key, study_python(spec), study_command(spec))


def preview(model: Model, spec: SteeringSpec, result: Result) -> None:
    """Where the first chains got to, while others are written."""
    goal, finals = result.numbers["goals"][0], result.tables["finals"]
    means = finals.groupby("condition")[goal["property"]].mean()
    st.markdown(
        f"**{plain(title(goal))}**: from {goal['start']:+.3g} at the start, steered chains reach "
        f"**{means[STEERED]:+.3g}** and unsteered ones {means[UNSTEERED]:+.3g}. Whether random "
        "neurons do as much is known once all their chains are written."
    )
    if badges.draw(start_domain(model, spec)):
        moved(goal, result.tables["trajectories"], finals)


def start_domain(model: Model, spec: SteeringSpec) -> Verdict | None:
    """Whether the model knows proteins such as the start."""
    of_start = domain(model.name, spec.sequence, "protein")
    return of_start and replace(of_start, words=f"The start: {of_start.words}")


def reached(goal: dict, spec: SteeringSpec, result: Result) -> None:
    """Where the property got to: in numbers, step by step, and at other doses."""
    compared(goal, spec)
    moved(goal, result.tables["trajectories"], result.tables["finals"])
    if "doses" in result.tables:
        doses(goal, spec, result.tables["doses"])


def cost(spec: SteeringSpec, finals: pd.DataFrame) -> None:
    """What became of the chains besides."""
    st.markdown("**What it cost**; bars: one standard deviation.")
    exports.chart(
        figures.costs(finals),
        finals.drop(columns="sequence"),
        "costs",
        "Small charts: identity, entropy, longest repeat, pseudo-perplexity and confidence of the "
        "whole chain and of its free residues.",
    )
    confidence, both = "", "it is"
    if finals["confidence"].notna().any():
        confidence = (
            "Confidence is the predictor's own and no proof of viability; that of the whole chain "
            "is mostly of residues that cannot change. "
        )
        both = "both are"
    st.caption(
        f"{confidence}The pseudo-perplexity is the unchanged model's surprise. Of random sets, "
        f"{both} told of one chain of the first {min(spec.chains, spec.random_sets)} sets of "
        "either kind."
    )


def moved(goal: dict, trajectories: pd.DataFrame, finals: pd.DataFrame) -> None:
    """The property step by step, and what chains and random sets reached."""
    name, words = goal["property"], title(goal)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown(
            f"**{plain(words)}, step by step**; bands: one standard deviation, between "
            "chains, or between the means of random sets."
        )
        exports.chart(
            figures.trajectories(trajectories, name, words, goal["start"]),
            trajectories,
            "trajectories",
            "Lines with bands: the property of chains and of random sets by step.",
        )
    with right:
        st.markdown(
            "**What chains reached**, the mean of their last tenth; a random set is the mean of "
            "its chains."
        )
        exports.chart(
            figures.finals(finals, name, words, goal["start"]),
            finals,
            "finals",
            "Points and boxes: what every chain and every random set reached.",
        )


def doses(goal: dict, spec: SteeringSpec, table: pd.DataFrame) -> None:
    """The property at other a and b."""
    st.markdown(f"**Other doses**: {plain(title(goal))} after {spec.dose_steps} steps.")
    exports.chart(
        figures.doses(table, goal["property"], title(goal)),
        table,
        "doses",
        "Heatmap: what other a and b reach.",
    )


def residues(spec: SteeringSpec, finals: pd.DataFrame) -> None:
    """Which amino acids the steered chains end with."""
    st.markdown("**What stands at the free residues** at the end of the steered chains.")
    ends = finals.loc[finals["condition"] == STEERED, "sequence"]
    exports.chart(
        figures.residue_changes(spec.begin, ends.tolist(), spec.places),
        finals[["condition", "chain", "sequence"]],
        "residues",
        "Heatmap: share of each amino acid at each free residue.",
    )


def compared(goal: dict, spec: SteeringSpec) -> None:
    """Start, chains and random sets in numbers."""
    table = comparison(goal, spec)
    st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        column_config={c: st.column_config.NumberColumn(format="%.3g") for c in table.columns[1:]},
        key="steer_comparison",
    )
    st.caption(
        "Between sets: standard deviation of the random sets' means; within: between the chains of "
        "a set. z and effect size: how far the steered mean is from the random sets', in the one "
        "and the other. p: how often such a set does at least as well, the chosen one counting as "
        f"one of them; {spec.random_sets} sets allow no p below {goal['floor']:.2g}."
    )


@st.fragment
def changes(model: Model, goal: dict, spec: SteeringSpec, result: Result) -> None:
    """What steering has changed, of the chain whose value is the median: in words, in space, and
    in its sequence, after any of its steps.
    """
    finals = result.tables["finals"]
    row = finals.loc[median_chain(finals, STEERED, spec.goals[0].property)]
    steered, when = str(row["sequence"]), ""
    space, above = st.container(), st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if "path" in result.tables:  # results of earlier versions have the end alone
            path = result.tables["path"]
            step = st.slider("After step", 0, spec.steps, spec.steps, key=f"steer_step_{spec.key}")
            steered = str(path.loc[path["step"] == step, "sequence"].iloc[0])
            when = f" after step {step}{_value(goal, result.tables['trajectories'], row, step)}"
            if result.files and step < spec.steps:
                when += f" (structures are of the end, step {spec.steps})"
        imgt = variable_domain(spec.begin) and st.toggle(
            "IMGT numbers",
            key="steer_imgt",
            help="The numbering of antibodies' variable domains, by which residues of one place "
            "are called the same in all of them: the loops are 27 to 38, 56 to 65 and 105 to 117. "
            "Of this sequence alone: other figures count from 1.",
        )
    with above:
        changed_residues(spec, steered, when, imgt=bool(imgt))
    with guard():
        if result.files:
            in_space(model, spec, result, space)
        else:
            with space:
                on_the_starts_backbone(spec, steered)


def changed_residues(spec: SteeringSpec, steered: str, when: str, *, imgt: bool) -> None:
    """The residues that are others than at the start: in words, and in the sequence.

    Args:
        when: after which step, and what the goal's value is there; "" at the end.
        imgt: number them as antibodies' variable domains are.
    """
    pairs = list(zip(spec.begin, steered, strict=True))
    numbers = [str(place) for place in range(1, len(pairs) + 1)]
    counted_from = "residues count from 1"
    if imgt:
        numbers, counted_from = imgt_numbers(spec.begin), "IMGT numbers; structures count from 1"
    names = [
        f"{old}{number}{new}" if old != new else f"{old}{number}, as at the start"
        for number, (old, new) in zip(numbers, pairs, strict=True)
    ]
    changed = [name for name, (old, new) in zip(names, pairs, strict=True) if old != new]
    chain = "heavy chain, " if spec.light else ""
    st.markdown(
        f"**The sequence**{when}: {counted(len(changed), 'residue')} of {len(pairs)} changed "
        f"({chain}the steered chain of median value; {counted_from}): "
        f"{plain(', '.join(changed)) or 'none'}."
    )
    data = tokens.strip(
        list(steered),
        [float(old != new) for old, new in pairs],
        "changed",
        residues=True,
        clickable=False,
        names=names,
        numbers=numbers,
        linked=LINKED,
    )
    token_strip.draw(data, "steered")


def _value(goal: dict, trajectories: pd.DataFrame, chain: pd.Series, step: int) -> str:
    """The goal's value of the chain at that step, where it was looked at."""
    at = trajectories["condition"].eq(STEERED) & trajectories["chain"].eq(chain["chain"])
    values = trajectories.loc[at & trajectories["step"].eq(step), goal["property"]]
    return f", {plain(title(goal))} {values.iloc[0]:+.3g}" if len(values) else ""


def comparison(goal: dict, spec: SteeringSpec) -> pd.DataFrame:
    """Start, chains and random sets: means, both spreads, and how the steered chains stand out."""
    rows = [{"what": "start", "mean": goal["start"]}]
    for name in (UNSTEERED, STEERED):
        of_one = {"mean": goal[name]["mean"], "sd within": goal[name]["sd"], "chains": spec.chains}
        rows.append({"what": name} | of_one)
    for name in CONTROLS:
        control = goal[name]
        rows.append(
            {
                "what": figures.NAMES[name],
                "mean": control["mean"],
                "sd between sets": control["between"],
                "sd within": control["within"],
                "z": control["z"],
                "effect size": control["effect_size"],
                "p": control["p_value"],
                "sets": spec.random_sets,
                "chains": spec.chains,
            }
        )
    spread = ["sd between sets", "sd within", "z", "effect size", "p"]
    return pd.DataFrame(rows, columns=["what", "mean", *spread, "sets", "chains"])


def neurons(spec: SteeringSpec, result: Result) -> None:
    """Which neurons were changed, with their labels."""
    table = result.tables["neurons"]
    labels = label_sets.current(spec.model)
    if labels is not None:
        words = label_sets.words(labels, table)
        table = table.assign(label=words) if any(words) else table
    if "score" in table:
        table = table.sort_values("score", ascending=False)
    st.dataframe(table, hide_index=True, height=260, key="steer_neurons")
    with st.container(horizontal=True):
        if st.button("Put them into the basket", key="steer_basket", icon=":material/add:"):
            state.add_to_basket(NeuronSet(chosen_neurons(result)))
            st.rerun(scope="app")
        exports.tables(table, "steered_neurons")


def fasta(spec: SteeringSpec, finals: pd.DataFrame) -> None:
    """All sequences as a file."""
    lines = [f">start\n{spec.begin}"]
    for row in finals.itertuples():
        value = getattr(row, spec.goals[0].property)
        name = f"{row.condition}_{row.set}_{row.chain}".replace(" ", "_")
        lines.append(
            f">{name} {spec.goals[0].property}={value:.4g} "
            f"identity={row.identity:.3f}\n{row.sequence}"
        )
    st.download_button(
        "Sequences (FASTA)",
        "\n".join(lines) + "\n",
        "steered.fasta",
        "text/plain",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
