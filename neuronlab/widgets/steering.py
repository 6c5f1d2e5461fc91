"""The page that steers: start and free residues, goals, neurons, and what came of it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.attribution.estimate import duration
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.errors import UserError
from neuronlab.figures import steering as figures
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.figures.protein import contact_map
from neuronlab.figures.structures import secondary_track, structures_view
from neuronlab.labels.library import search_words
from neuronlab.models import READABLE, Encoded, Model
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.effect import CONTROLS
from neuronlab.proteins import antibodies, corpora, folding
from neuronlab.proteins.contacts import predicted_contacts
from neuronlab.proteins.features import PROPERTIES
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL, clean_sequence
from neuronlab.proteins.viewer import framed, viewer_url
from neuronlab.runs import Result
from neuronlab.studies import STUDIES, SteeringSpec
from neuronlab.studies.examples import UBIQUITIN, small_steering
from neuronlab.studies.steering import STEERED, UNSTEERED, Goal
from neuronlab.widgets import exports, label_sets, model_fetch, services, shown, state
from neuronlab.widgets.guard import complain, guard, plain, sentence

STUDY = "steering"
CHOICES = {
    "effect": "by effect on the goal",
    "residue": "by correlation, residue by residue",
    "protein": "by correlation, over proteins",
    "labels": "by label",
    "basket": "from the basket",
}
MODES = {
    "masked": "masked iteration",
    "full": "full resampling",
    "best": "best of so many",
}
COLOURS = {
    "confidence": "confidence",
    "changed": "changed residues",
    "attribution": "activity of the neurons",
}


def draw() -> None:
    """Form, run and results."""
    model = services.model(state.model_name(), state.device())
    spec = form(model)
    shown.run_button(spec, lambda: cost(model, spec))
    first = small_steering(model.name, model.revision)
    found = shown.finished(STUDY, model.name, spec, first)
    if found is not None:
        with guard():
            results(model, *found)


def cost(model: Model, spec: SteeringSpec) -> str:
    """What a run will take."""
    return f"About {duration(STUDIES[STUDY].seconds(model, spec))}, structures aside."


# --- The form ------------------------------------------------------------------------------------


def form(model: Model) -> SteeringSpec | None:
    """Everything that decides a run; None with a message where it is not complete."""
    antibody = model.name == "antiberty"
    try:
        with st.container(border=True):
            start = _start(model, antibody=antibody)
        with st.container(border=True):
            goals = _goals()
            neurons = _neurons(model, goals)
        settings = _settings()
        return SteeringSpec(
            model=model.name, revision=model.revision, goals=goals, **start, **neurons, **settings
        )
    except (UserError, ValueError) as error:
        complain(sentence(error))
    return None


def _start(model: Model, *, antibody: bool) -> dict:
    left, right = st.columns(2)
    text = left.text_area(
        "Start from" + (" (heavy chain)" if antibody else ""),
        TRASTUZUMAB_VH if antibody else UBIQUITIN,
        height=110,
        max_chars=2000,
        key=f"steer_sequence_{model.name}",
        persist_state="session",
    )
    sequence = clean_sequence(text)
    light = ""
    if antibody:
        light = right.text_area(
            "Light chain, for structures",
            TRASTUZUMAB_VL,
            height=110,
            max_chars=2000,
            key="steer_light",
            persist_state="session",
            help="FlashABB folds a heavy chain alone badly: give its light chain too.",
        )
        light = clean_sequence(light) if light.strip() else ""
    options = ["regions", "all", "own"] if antibody else ["all", "own"]
    which = left.segmented_control(
        "Free residues; all others are protected",
        options,
        default=options[0],
        format_func={"regions": "binding loops (CDRs)", "all": "all", "own": "choose"}.get,
        key=f"steer_free_{antibody}",
        required=True,
    )
    free: tuple[int, ...] = ()
    if which == "regions":
        free = antibodies.determining(sequence)
    elif which == "own":
        words = right.text_input(
            "Residues, counted from 1", "26-33, 51-58", key="steer_places", max_chars=500
        )
        free = places(words, len(sequence))
    shown_free = set(free) or set(range(len(sequence)))
    right.caption(f"{len(shown_free)} of {len(sequence)} residues are free.")
    return {"sequence": sequence, "light": light, "free": free}


def places(words: str, length: int) -> tuple[int, ...]:
    """Residues as typed ("26-33, 51"), counted from 0.

    Raises:
        UserError: not of that form, or outside the protein.
    """
    found: set[int] = set()
    for part in filter(None, re.split(r"[,;\s]+", words.strip())):
        if not (match := re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)):
            raise UserError("Give residues as numbers and ranges, such as 26-33, 51-58.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= length:
            raise UserError(f"The protein has residues 1 to {length}: correct {part}.")
        found.update(range(first - 1, last))
    if not found:
        raise UserError("No residue may change: set some free, such as 26-33.")
    return tuple(sorted(found))


def _goals() -> tuple[Goal, ...]:
    columns = st.columns([3, 2, 3, 2])
    names = list(PROPERTIES)
    found = []
    for number, (name, direction) in enumerate(
        zip(columns[::2], columns[1::2], strict=True), start=1
    ):
        options = names if number == 1 else [None, *names]
        chosen = name.selectbox(
            "Goal" if number == 1 else "Second goal",
            options,
            options.index("gravy") if number == 1 else 0,
            format_func=lambda n: PROPERTIES[n].title if n else "none",
            key=f"steer_goal_{number}",
            help=PROPERTIES["gravy"].what if number == 1 else None,
        )
        way = direction.segmented_control(
            "Direction",
            ["up", "down"],
            default="up",
            key=f"steer_way_{number}",
            required=True,
            disabled=chosen is None,
        )
        if chosen:
            found.append(Goal(property=chosen, direction=way))
    return tuple(found)


def _neurons(model: Model, goals: tuple[Goal, ...]) -> dict:
    left, middle, right = st.columns([3, 2, 3])
    choose = left.selectbox(
        "Neurons",
        list(CHOICES),
        format_func=CHOICES.get,
        key="steer_choose",
        persist_state="session",
    )
    a = middle.slider("a, in h' = a h + b", -10.0, 10.0, 3.0, 0.05, key="steer_a")
    b = right.slider("b", -8.0, 8.0, 1.0, 0.05, key="steer_b")
    given = {"a": a, "b": b}
    if choose == "basket":
        own = state.basket()
        if not len(own):
            raise UserError("The basket is empty: collect neurons, or choose them by effect.")
        words = f"the basket of {len(own)}"
        return given | {"choose": "given", "neurons": tuple(map(str, own)), "given_by": words}
    if choose == "labels":
        return given | _by_label(model, goals)
    count = left.number_input("How many", 1, 20_000, 100, key="steer_count")
    components = middle.pills(
        "Of",
        [c for c in READABLE if c != "attention"],
        selection_mode="multi",
        default=["ffn"],
        format_func=COMPONENT_NAMES.get,
        key="steer_components",
    )
    if not components:
        raise UserError("Choose at least one component.")
    given |= {"choose": choose, "count": count, "components": tuple(components)}
    if choose in ("protein", "residue"):
        titles = corpora.titles()
        names = list(titles)
        given["corpus"] = right.selectbox(
            "Over",
            names,
            names.index("germlines" if model.name == "antiberty" else "pdb"),
            format_func=titles.get,
            key=f"steer_corpus_{model.name == 'antiberty'}",
        )
        label_sets.corpus_ready(given["corpus"])
    return given


def _by_label(model: Model, goals: tuple[Goal, ...]) -> dict:
    """Neurons whose labels fit some words; the paper's way."""
    known = label_sets.current(model.name)
    if known is None:
        raise UserError(
            "No neuron of this model has a label yet: make labels on the page “What does each "
            "neuron know?”, or choose by effect."
        )
    left, middle, right = st.columns([3, 2, 3])
    title = PROPERTIES[goals[0].property].title.lower()
    guess = f'"{"high" if goals[0].direction == "up" else "low"} {title.split(" (")[0]}"'
    words = left.text_input("Labels with", guess, max_chars=200, key=f"steer_words_{guess}")
    least = middle.slider("Correlation, at least", 0.0, 1.0, 0.2, 0.05, key="steer_least")
    rows = search_words(known.rows, words)
    rows = rows[rows["correlation"].fillna(0) >= least]
    as_paper = False
    if (rows["component"] == "residual").any():
        as_paper = right.toggle(
            "As the paper's code",
            key="steer_as_paper",
            help="Its labels are for dimensions of the residual stream, but it changes FFN units "
            "with the same numbers.",
        )
    if rows.empty:
        raise UserError("No neuron has such a label: use other words, or a lower correlation.")
    neurons = NeuronSet(
        (int(r.layer), "ffn" if as_paper else r.component, int(r.neuron)) for r in rows.itertuples()
    )
    right.caption(f"{len(neurons):,} neurons. Labels are made from correlation: see the caveats.")
    by = f"labels with {words}" + (", as the paper's code" if as_paper else "")
    return {"choose": "given", "neurons": tuple(map(str, neurons)), "given_by": by}


def _settings() -> dict:
    with st.expander("Settings"):
        one, two, three, four = st.columns(4)
        mode = one.selectbox("Generation", list(MODES), format_func=MODES.get, key="steer_mode")
        steps = two.number_input("Steps", 1, 2000, 50, key="steer_steps")
        masked = three.number_input(
            "Hidden at a step, in %", 1, 100, 10, key="steer_masked", disabled=mode != "masked"
        )
        temperature = four.number_input("Temperature", 0.05, 10.0, 1.0, 0.05, key="steer_t")
        chains = one.number_input(
            "Chains",
            2,
            64,
            4,
            key="steer_chains",
            help="Steered, as many unsteered, and as many of every random set.",
        )
        random_sets = two.number_input(
            "Random sets of either kind",
            20,
            200,
            20,
            key="steer_random",
            help="Any neurons of the same layers; and such that are as active. The more sets, the "
            "smaller p can be: 1 / (sets + 1).",
        )
        seed = three.number_input("Seed", 0, 10_000, 0, key="steer_seed")
        positions = four.selectbox(
            "Neurons change at",
            ["all", "free"],
            format_func={"all": "all residues", "free": "the free residues"}.get,
            key="steer_positions",
        )
        length = one.number_input(
            "Length (0: as it is)",
            0,
            1000,
            0,
            key="steer_length",
            help="Random residues are added.",
        )
        dose = two.toggle("Try other a and b", value=True, key="steer_dose")
        predictors = ["", *folding.PREDICTORS]
        predictor = three.selectbox(
            "Structures",
            predictors,
            predictors.index("flash-abb"),
            format_func=lambda n: folding.PREDICTORS[n].title if n else "none",
            key="steer_predictor",
        )
        if predictor:
            known = folding.PREDICTORS[predictor]
            four.caption(plain(f"{known.what} {known.licence}."))
    if predictor == "igfold" and folding.PREDICTORS[predictor].available():
        model_fetch.ready("igfold")
    return {
        "mode": mode,
        "steps": steps,
        "masked": masked / 100,
        "temperature": temperature,
        "chains": chains,
        "random_sets": random_sets,
        "seed": seed,
        "positions": positions,
        "length": length or None,
        "predictor": predictor,
        **({} if dose else {"dose_a": (), "dose_b": ()}),
    }


# --- The results ---------------------------------------------------------------------------------


def results(model: Model, spec: SteeringSpec, result: Result) -> None:
    """The headline, what moved, what it cost, the structures and the neurons."""
    goals = result.numbers["goals"]
    which = 0
    if len(goals) > 1:
        which = st.segmented_control(
            "Goal",
            range(len(goals)),
            default=0,
            format_func=lambda i: PROPERTIES[goals[i]["property"]].title,
            key=f"steer_shown_{spec.key}",
            required=True,
        )
    goal = goals[which]
    name, known = goal["property"], PROPERTIES[goal["property"]]
    headline(goal, spec, result.numbers["activity"])
    left, right = st.columns([3, 2], gap="medium")
    trajectories, finals = result.tables["trajectories"], result.tables["finals"]
    with left:
        st.markdown(
            f"**{plain(known.title)}, step by step**; bands: one standard deviation, between "
            "chains, or between the means of random sets."
        )
        exports.chart(
            figures.trajectories(trajectories, name, known.title, goal["start"]),
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
            figures.finals(finals, name, known.title, goal["start"]),
            finals,
            "finals",
            "Points and boxes: what every chain and every random set reached.",
        )
    st.markdown("**What it cost**; bars: one standard deviation.")
    exports.chart(
        figures.costs(finals),
        finals.drop(columns="sequence"),
        "costs",
        "Small charts: identity, entropy, longest repeat, pseudo-perplexity and confidence of the "
        "whole chain and of its free residues.",
    )
    warnings(finals, spec)
    right = st.container()
    if "doses" in result.tables:
        left, right = st.columns(2, gap="medium")
        with left:
            doses = result.tables["doses"]
            st.markdown(f"**Other doses**: {plain(known.title)} after {spec.dose_steps} steps.")
            exports.chart(
                figures.doses(doses, name, known.title),
                doses,
                "doses",
                "Heatmap: what other a and b reach.",
            )
    with right:
        st.markdown("**What stands at the free residues** at the end of the steered chains.")
        own = finals.loc[finals["condition"] == STEERED, "sequence"]
        exports.chart(
            figures.residue_changes(spec.begin, own.tolist(), spec.places),
            finals[["condition", "chain", "sequence"]],
            "residues",
            "Heatmap: share of each amino acid at each free residue.",
        )
    structures(model, spec, result)
    neurons(spec, result)
    fasta(spec, finals)
    exports.share(spec.key, study_python(spec), study_command(spec))


def headline(goal: dict, spec: SteeringSpec, activity: dict[str, float]) -> None:
    """The result in a few words, beside the control that it stands out from less; then both."""
    known = PROPERTIES[goal["property"]]
    unit = f" {known.unit}" if known.unit else ""
    control = goal["control"]
    st.markdown(
        f"**{plain(known.title)}** {goal['direction']}: from {goal['start']:+.3g}{unit} at the "
        f"start, steered chains reach **{goal[STEERED]['mean']:+.3g}**, unsteered ones "
        f"{goal[UNSTEERED]['mean']:+.3g}; {CONTROLS[control]}: {goal[control]['mean']:+.3g}. "
        f"{verdict(goal)}"
    )
    by = CHOICES.get(spec.choose) or plain(spec.given_by) or "given"
    st.caption(
        f"Neurons {by}; a = {spec.a:g}, b = {spec.b:g}; {spec.chains} chains of {spec.steps} "
        f"steps, and as many of each of {spec.random_sets} random sets of either kind. Those "
        "matched in activity are "
        f"{activity['as active']:.0%} as active as the chosen neurons along the start, any random "
        f"ones {activity['random']:.0%} (geometric means)."
    )
    table = comparison(goal, spec)
    st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        column_config={c: st.column_config.NumberColumn(format="%.3g") for c in table.columns[1:]},
        key="steer_comparison",
    )
    st.caption(
        "Between sets: standard deviation of the random sets' means; within: between chains of "
        "one set. z and effect size: how far the steered mean is from the random sets', in the one "
        "and the other. p: how often such a set does at least as well, the chosen one counting as "
        f"one of them; {spec.random_sets} sets allow no p below {goal['floor']:.2g}."
    )


def verdict(goal: dict) -> str:
    """Whether it worked, by the rank among the sets of the stronger control."""
    words = CONTROLS[goal["control"]]
    p = f"p = {goal['p_value']:.2g}, and can be no smaller than {goal['floor']:.2g}"
    if not goal["p_value"] < 0.05:
        return f"**Not clearly further than {words}** ({p})."
    low, high = goal["shift_interval"]
    if goal["direction"] == "down":
        low, high = -high, -low
    if low > 0:
        return f"It moves **as asked, more than {words}** ({p})."
    if high < 0:
        return f"**Not as asked**: the other way than unsteered chains, if more than {words} ({p})."
    return f"More than {words} ({p}), but **not told apart from unsteered chains**."


def comparison(goal: dict, spec: SteeringSpec) -> pd.DataFrame:
    """Start, chains and random sets: means, both spreads, and how the steered chains stand out."""
    rows = [{"what": "start", "mean": goal["start"]}]
    for name in (UNSTEERED, STEERED):
        words = f"{name}, {spec.chains} chains"
        rows.append({"what": words, "mean": goal[name]["mean"], "sd within": goal[name]["sd"]})
    for name in CONTROLS:
        own = goal[name]
        words = f"{figures.NAMES[name]}, {spec.random_sets} sets of {spec.chains} chains"
        rows.append(
            {
                "what": words,
                "mean": own["mean"],
                "sd between sets": own["between"],
                "sd within": own["within"],
                "z": own["z"],
                "effect size": own["effect_size"],
                "p": own["p_value"],
            }
        )
    columns = ["what", "mean", "sd between sets", "sd within", "z", "effect size", "p"]
    return pd.DataFrame(rows, columns=columns)


def warnings(finals: pd.DataFrame, spec: SteeringSpec) -> None:
    """What a person must not overlook."""
    steered = finals[finals["condition"] == STEERED].mean(numeric_only=True)
    plainly = finals[finals["condition"] == UNSTEERED].mean(numeric_only=True)
    if steered["entropy"] < 0.7 * plainly["entropy"]:
        st.warning(
            f"The free residues have become monotonous: {steered['entropy']:.1f} bits against "
            f"{plainly['entropy']:.1f} without steering. Lower b, or fewer neurons.",
            icon=":material/warning:",
        )
    st.caption(
        "Confidence is the predictor's own and no proof of viability; that of the whole chain is "
        "mostly of residues that cannot change. The pseudo-perplexity is the unchanged model's "
        "surprise. Of random sets, both are told of one chain of the first "
        f"{min(spec.chains, spec.random_sets)} sets of either kind."
    )


def structures(model: Model, spec: SteeringSpec, result: Result) -> None:
    """Start, unsteered and steered in 3D; or why not, and the contacts instead."""
    st.subheader("Structures")
    if not result.files:
        st.info(plain(result.numbers["no_structures"]), icon=":material/info:")
        found = predicted_contacts(model, spec.begin)
        if found is None:
            st.caption("This model has no contact head either.")
            return
        chart = contact_map(found, np.zeros(len(spec.begin)), spec.begin)
        exports.chart(chart, pd.DataFrame(found), "contacts", "Heatmap of predicted contacts.")
        return
    names = ["start", UNSTEERED, STEERED]
    own = [_read(spec.predictor, result.files[f"{name}.pdb"]) for name in names]
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    colour = left.segmented_control(
        "Coloured by",
        list(COLOURS),
        default="changed",
        format_func=COLOURS.get,
        key="steer_colour",
        required=True,
    )
    overlaid = right.toggle("Over one another", key="steer_overlaid")
    values = []
    if colour == "attribution":
        chosen = _set(result)
        values = [
            _activity(model, model.name, s.chains[0][1], chosen, len(s.sequence)) for s in own
        ]
    with guard():
        html = structures_view(
            own,
            names,
            viewer_url(),
            colour=colour,
            values=values,
            overlaid=overlaid,
            dark=st.context.theme.type == "dark",
        )
        st.iframe(framed(html), height=530)
    table = result.tables["structures"]
    st.caption(
        "Predicted by "
        + plain(folding.PREDICTORS[spec.predictor].title)
        + "; unsteered and steered are the chains whose value is the median, superposed on the "
        "start. Drag to turn, scroll to zoom. "
        + "; ".join(
            f"{row['name']}: confidence {row['confidence']:.0f} over the chain and "
            f"{row['confidence_free']:.0f} over the free residues, CA RMSD to the start "
            f"{row['rmsd']:.2f} Å"
            for _, row in table.iterrows()
        )
        + "."
    )
    exports.chart(
        secondary_track(own, names),
        table,
        "secondary",
        "Helices and strands of the predicted structures along the sequence.",
    )
    with st.container(horizontal=True):
        for name in names:
            st.download_button(
                f"{name} (PDB)",
                result.files[f"{name}.pdb"],
                f"{name}.pdb",
                "chemical/x-pdb",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )
        st.download_button(
            "View (HTML)", html, "structures.html", "text/html", on_click="ignore", type="tertiary"
        )


@st.cache_data(max_entries=12, show_spinner=False)
def _read(predictor: str, pdb: str) -> folding.Folded:
    return folding.read(predictor, pdb)


@st.cache_data(max_entries=12, show_spinner=False)
def _activity(_model: Model, name: str, sequence: str, chosen: tuple, length: int) -> np.ndarray:
    """Mean activation of the neurons at each residue of the heavy chain; none at the light one."""
    neurons = NeuronSet(chosen)
    components = tuple(neurons.counts())
    ids = _model.ids([_model.residue_ids(sequence)])
    seen = _model.read(Encoded(ids, 0, None, ()), components)
    parts = [
        seen[at][0, _model.residues_at, own].float().cpu() for at, own in neurons.by_place().items()
    ]
    found = np.full(length, np.nan)
    found[: len(sequence)] = np.concatenate([p.numpy(force=True) for p in parts], axis=1).mean(1)
    return found


def _set(result: Result) -> tuple:
    table = result.tables["neurons"]
    return tuple((int(r.layer), r.component, int(r.neuron)) for r in table.itertuples(index=False))


def neurons(spec: SteeringSpec, result: Result) -> None:
    """Which neurons were changed, with their labels."""
    table = result.tables["neurons"]
    st.subheader("The neurons")
    known = label_sets.current(spec.model)
    if known is not None:
        labels = label_sets.words(known, table)
        table = table.assign(label=labels) if any(labels) else table
    if "score" in table:
        table = table.sort_values("score", ascending=False)
    st.dataframe(table, hide_index=True, height=260, key="steer_neurons")
    with st.container(horizontal=True):
        if st.button("Put them into the basket", key="steer_basket", icon=":material/add:"):
            state.add_to_basket(NeuronSet(_set(result)))
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
