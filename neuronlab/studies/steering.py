"""Steer the generation of a protein through neurons, beside its controls (arXiv 2507.06458).

Chosen neurons go to a h + b while residues are drawn again and again. Beside them: the model left
alone, and two kinds of random neurons in the same layers, any and those that are as active. What it
cost stands beside what it moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field, field_validator, model_validator

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.models import Encoded, Model
from neuronlab.models.catalogue import use_of
from neuronlab.models.residues import AMINO_ACIDS, clean_sequence
from neuronlab.neurons import Activity, Affine, Neuron, NeuronScores, NeuronSet
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM
from neuronlab.proteins import antibodies, folding
from neuronlab.proteins.predictors import PREDICTORS
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL
from neuronlab.runs import Context, Result, Seed, Spec, Study
from neuronlab.statistics import seeds
from neuronlab.steering import quality, selection, structures
from neuronlab.steering.chains import (
    STEERED,
    UNSTEERED,
    doses,
    median_chain,
    path,
    reached,
    trajectories,
)
from neuronlab.steering.comparison import findings
from neuronlab.steering.generation import MASKED, Mode, generate, letters_of
from neuronlab.steering.goals import Goal
from neuronlab.studies.bases.components import ReadComponents
from neuronlab.studies.bases.correlated import CORRELATED, correlations
from neuronlab.studies.bases.precision import Products
from neuronlab.studies.bases.prompts import UBIQUITIN, Described

if TYPE_CHECKING:
    import plotly.graph_objects as go

DOSES = "doses"
# Chains of the unchanged model that effects on a predicted structure are averaged over, and their
# steps, of which the second half count: by then few residues are the start's.
WRITTEN, WRITTEN_STEPS = 8, 20
# Residues that are hidden, one at a time, for the pseudo-perplexity.
SURPRISE = 15
# Each few random sets are a part of the run that survives an interruption.
SETS_PER_SHARD = 5


Coefficient = Annotated[float, Field(ge=-50, le=50)]


class SteeringSpec(Spec):
    """What is steered, through which neurons, and how.

    Attributes:
        model: a masked protein language model.
        sequence: where chains begin; an antibody's heavy chain with FlashABB.
        light: the light chain that goes with it in structures; or "".
        free: residues that may change, counted from 0; empty frees all.
        length: other than that of the sequence: random residues are added at its end, or it is cut.
        goals: one or two.
        choose: neurons by "effect" on the expected property; by effect on a predicted structure of
            what the model has "written"; by correlation with the property per "protein" or per
            "residue"; or "given" by ``neurons``.
        neurons: given ones, as ``layer.component.index``.
        given_by: where they are from, in words.
        count: of neurons that are chosen.
        corpus: proteins that correlations are taken over.
        a, b: of h' = a h + b.
        positions: tokens at which neurons change: all, or the free residues.
        precision: of the products while chains are made; with "bfloat16" they take little more than
            half the time where the processor has it, and chains come out as others.
        chains: steered, as many unsteered, and as many of every random set.
        random_sets: of either kind of ``CONTROLS``: as many random neurons in the same layers and
            components, and such that are as active along the sequence and write as much.
        dose_a, dose_b: every pair is tried with two chains of ``dose_steps`` steps.
        predictor: of structures, of ``predictors.PREDICTORS``; "" predicts none.
    """

    study: ClassVar[str] = "steering"
    version: ClassVar[int] = 2

    model: str = "antiberty"
    revision: str = ""
    sequence: str = TRASTUZUMAB_VH
    light: str = ""
    free: tuple[int, ...] = ()
    length: int | None = Field(None, ge=2, le=1000)
    goals: tuple[Goal, ...] = Field((Goal(),), min_length=1, max_length=2)
    choose: Literal["effect", "written", "protein", "residue", "given"] = "effect"
    neurons: tuple[str, ...] = ()
    given_by: str = ""
    count: int = Field(100, ge=1, le=20_000)
    components: ReadComponents = ("ffn",)
    corpus: str = "germlines"
    a: Coefficient = 3.0
    b: Coefficient = 1.0
    positions: Literal["all", "free"] = "all"
    mode: Mode = "masked"
    masked: float = Field(MASKED, gt=0, le=1)
    steps: int = Field(50, ge=1, le=2000)
    temperature: float = Field(1.0, ge=0.05, le=10)
    precision: Products = "float32"
    chains: int = Field(4, ge=2, le=64)
    random_sets: int = Field(20, ge=20, le=200)
    seed: Seed = 0
    dose_a: tuple[Coefficient, ...] = Field((1.0, 2.0, 3.0), max_length=20)
    dose_b: tuple[Coefficient, ...] = Field((0.0, 0.5, 1.0, 1.5), max_length=20)
    dose_steps: int = Field(25, ge=1, le=500)
    predictor: str = "flash-abb"

    @field_validator("sequence", "light")
    @classmethod
    def _residues(cls, sequence: str) -> str:
        try:
            return clean_sequence(sequence) if sequence else ""
        except UserError as error:
            raise ValueError(str(error)) from error

    @field_validator("predictor")
    @classmethod
    def _predicts(cls, name: str) -> str:
        if name and name not in PREDICTORS:
            raise ValueError(f"choose a predictor from {', '.join(PREDICTORS)}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> SteeringSpec:
        if not self.sequence:
            raise ValueError("give a sequence to start from")
        if len({goal.property for goal in self.goals}) < len(self.goals):
            raise ValueError("two goals are of two properties")
        if self.choose == "written" and not any(goal.predicted for goal in self.goals):
            raise ValueError("what is written counts for a predicted structure: choose by effect")
        if self.choose == "given" and not self.neurons:
            raise ValueError("give neurons, or choose them by effect")
        if any(not 0 <= place < len(self.begin) for place in self.free):
            raise ValueError(f"the sequence has {len(self.begin)} residues: free others")
        if any(goal.stretch and goal.stretch[1] > len(self.begin) for goal in self.goals):
            raise ValueError(f"the sequence has {len(self.begin)} residues: name another stretch")
        return self

    @property
    def begin(self) -> str:
        """Where chains begin."""
        if self.length is None or self.length == len(self.sequence):
            return self.sequence
        draw = np.random.default_rng(self.seed)
        more = draw.choice(list(AMINO_ACIDS), max(self.length - len(self.sequence), 0))
        return (self.sequence + "".join(more))[: self.length]

    @property
    def places(self) -> tuple[int, ...]:
        """The free residues, also where all are."""
        return tuple(sorted(set(self.free))) or tuple(range(len(self.begin)))


class SteeringStudy(Study[SteeringSpec]):
    """Changes neurons while a protein is written, beside unsteered chains and random neurons.

    Random sets are of two kinds, "random" and "as active" (``CONTROLS``), with as many chains each
    as the chosen set; chains of one number draw the same random numbers. Sets are compared by the
    means of their chains.

    Tables: ``trajectories`` (condition, set, chain, step, one column per goal), ``finals``
    (condition, set, chain, sequence, one column per goal: mean of the last tenth of the chain,
    identity, entropy and longest_repeat of the free residues, perplexity, confidence of the
    structure, over the steered chain and over its free residues), ``doses`` (a, b, chain, one
    column per goal, entropy), ``neurons`` (layer, component, neuron, score), ``structures`` (name,
    sequence, confidence and confidence_free of the steered chain, rmsd to the start, helix, strand,
    coil, secondary: of all chains), ``path`` (step, sequence: of the steered chain whose value is
    the median). Perplexity and confidence are of as many chains of either kind
    of random sets as there are steered ones: of the first chain of the first sets. What cannot be
    folded has no confidence and no file. Files: start.pdb, unsteered.pdb and steered.pdb,
    superposed; of the chains whose value is the median.

    Numbers of the first goal: start; mean and sd, between chains, of unsteered and steered; of
    either kind of random sets a ``Comparison``; control, the stronger kind, with its effect_size,
    z, p_value and floor; shift (against unsteered). ``goals`` has the same for each; ``activity``
    says how active the neurons of either kind are beside the chosen ones (geometric means).
    """

    name = "steering"
    title = "Steer a protein"
    spec_type = SteeringSpec
    unit = "batches of chains"
    previews = True
    merging = 0.1

    def default(self) -> SteeringSpec:
        """GRAVY of trastuzumab's heavy chain up; its framework is protected."""
        return SteeringSpec(
            light=TRASTUZUMAB_VL,
            free=antibodies.determining(TRASTUZUMAB_VH),
        )

    def example(self, model: Described) -> SteeringSpec | None:
        """A short run with all its controls, on a model that fills in residues."""
        if model.kind != "masked" or model.alphabet != "protein":
            return None
        # Few steps, but of many residues each, so that all are drawn once or twice.
        few = {"chains": 2, "steps": 5, "masked": 0.3, "dose_a": (), "dose_b": ()}
        use = use_of(model.name)
        if use.only != "antibodies":
            # FlashABB knows antibodies only; the start's own backbone is shown instead.
            few |= {"sequence": UBIQUITIN, "light": "", "free": (), "corpus": use.corpus}
            few |= {"predictor": ""}
        fields = self.default().model_dump() | few
        return SteeringSpec(**fields | {"model": model.name, "revision": model.revision})

    def shards(self, spec: SteeringSpec, context: Context) -> list[tuple[str, range]]:
        """What is generated, and for which of the random sets."""
        parts = [
            range(first, min(first + SETS_PER_SHARD, spec.random_sets))
            for first in range(0, spec.random_sets, SETS_PER_SHARD)
        ]
        shards = [
            (STEERED, range(1)),
            *((control.value, sets) for control in CONTROLS for sets in parts),
        ]
        return [*shards, (DOSES, range(1))] if spec.dose_a and spec.dose_b else shards

    def cost(self, spec: SteeringSpec, context: Context) -> Cost:
        """All chains and their perplexities; how long structures take is not known."""
        model = context.model(spec.model, spec.revision)
        tokens = len(spec.begin) + 2
        rows = (2 + len(CONTROLS) * spec.random_sets) * spec.chains * spec.steps
        rows += 2 * len(spec.dose_a) * len(spec.dose_b) * spec.dose_steps
        rows += (2 + len(CONTROLS)) * spec.chains * min(SURPRISE, len(spec.places))
        rows += CORRELATED if spec.choose in ("protein", "residue") else 0
        if spec.choose == "written":
            rows += WRITTEN * min(spec.steps, WRITTEN_STEPS)
        return Cost(seconds(model, tokens, rows, 0), remark=", structures aside")

    def run_shard(self, spec: SteeringSpec, shard: tuple[str, range], context: Context) -> Result:
        """The sequences of some chains."""
        model = context.model(spec.model, spec.revision)
        letters_of(model)
        chosen, scores = choose(spec, model)
        what, sets = shard
        if what == DOSES:
            rows = self._dose_rows(spec, chosen)
        else:
            rows = self._rows(spec, model, chosen, what, sets)
        sequences = generate(
            model,
            spec.begin,
            [row.pop("change") for row in rows],
            chains=[row["chain"] for row in rows],
            free=spec.places,
            steps=spec.dose_steps if what == DOSES else spec.steps,
            mode=spec.mode,
            masked=spec.masked,
            temperature=spec.temperature,
            precision=spec.precision,
            seed=spec.seed,
            prefer=lambda sequence: sum(goal.sign * goal.value(sequence) for goal in spec.goals),
            progress=lambda done: context.progress(done, _WORDS[what]),
        )
        neurons = chosen.to_frame()
        if scores is not None:
            neurons["score"] = [scores.score(n) for n in chosen]
        table = pd.DataFrame(rows).assign(sequences=sequences)
        return Result(tables={"doses" if what == DOSES else "chains": table, "neurons": neurons})

    def merge(self, spec: SteeringSpec, parts: Sequence[Result], context: Context) -> Result:
        """Values, what they cost, and structures."""
        model = context.model(spec.model, spec.revision)
        chains = _chains(parts)
        values = trajectories(chains, spec.goals)
        finals = reached(chains, values, spec.begin, spec.places).assign(**_UNKNOWN)
        costed = (finals["set"] < spec.chains) & (
            finals["condition"].isin((UNSTEERED, STEERED)) | (finals["chain"] == 0)
        )
        judging = context.part(0.0, 0.6)
        finals.loc[costed, "perplexity"] = quality.pseudo_perplexity(
            model,
            finals.loc[costed, "sequence"].tolist(),
            quality.spread_out(spec.places, SURPRISE),
            lambda done: judging.progress(done, "asking how likely the sequences are"),
        )
        folded, files, reason = self._structures(spec, finals, costed, context.part(0.6, 0.4))
        goals = [findings(goal, spec.begin, finals) for goal in spec.goals]
        tables = {
            "trajectories": values,
            "finals": finals,
            "neurons": parts[0].tables["neurons"],
            "structures": folded,
            "path": path(chains, finals, spec.goals[0].property),
        }
        if "doses" in parts[-1].tables:
            tables["doses"] = doses(parts[-1].tables["doses"], spec.goals, spec.places)
        active = chains.groupby("condition")["activity"].mean()
        numbers = goals[0] | {
            "goals": goals,
            "activity": {control.value: float(active[control.value]) for control in CONTROLS},
            "no_structures": reason,
            "free": len(spec.places),
        }
        return Result(numbers, tables, files=files)

    def preview(
        self, spec: SteeringSpec, parts: Sequence[Result], context: Context
    ) -> Result | None:
        """Where the chains there are got to; what random sets are compared by needs all of them."""
        if not parts:
            return None
        chains = _chains(parts)
        values = trajectories(chains, spec.goals)
        finals = reached(chains, values, spec.begin, spec.places)
        goals = [
            {"property": goal.property, "title": goal.title, "start": goal.value(spec.begin)}
            for goal in spec.goals
        ]
        return Result({"goals": goals}, {"trajectories": values, "finals": finals})

    def _rows(
        self, spec: SteeringSpec, model: Model, chosen: NeuronSet, what: str, sets: range
    ) -> list[dict[str, Any]]:
        if what == STEERED:
            of_sets = [(UNSTEERED, 0, None, np.nan), (STEERED, 0, chosen, 1.0)]
        else:
            start = Encoded(model.ids([model.residue_ids(spec.begin)]), 0, None, ())
            chosen.check(model)
            activity = Activity.of(model, [start], chosen.counts(), everywhere=True)
            drawn = seeds(spec.seed, spec.random_sets)
            of_sets = []
            for number in sets:
                if what == AS_ACTIVE:
                    neurons = activity.matched(chosen, drawn[number])
                else:
                    neurons = chosen.matched_random(model.sizes, drawn[number])
                level = activity.level(neurons) / (activity.level(chosen) or 1.0)
                of_sets.append((what, number, neurons, level))
        return [
            {
                "condition": condition,
                "set": number,
                "chain": chain,
                "activity": level,
                "change": neurons and Affine(neurons, _tokens(spec), a=spec.a, b=spec.b),
            }
            for condition, number, neurons, level in of_sets
            for chain in range(spec.chains)
        ]

    def _dose_rows(self, spec: SteeringSpec, chosen: NeuronSet) -> list[dict[str, Any]]:
        return [
            {"a": a, "b": b, "chain": chain, "change": Affine(chosen, _tokens(spec), a=a, b=b)}
            for a in spec.dose_a
            for b in spec.dose_b
            for chain in range(2)
        ]

    def _structures(
        self, spec: SteeringSpec, finals: pd.DataFrame, costed: pd.Series, context: Context
    ) -> tuple[pd.DataFrame, dict[str, str], str]:
        """The structures that are shown, their files, and what could not be folded and why.

        How confident the predictor is of each costed chain goes into ``finals``.
        """
        nothing = structures.superposed({}, spec.places)
        if not spec.predictor:
            return *nothing, "No structure was asked for."
        predictor = PREDICTORS[spec.predictor]
        if reason := predictor.available() or predictor.fits(spec.begin, spec.light):
            return *nothing, reason

        def fold(sequences: list[str]) -> tuple[list[folding.Folded | None], str]:
            return structures.fold_all(
                spec.predictor,
                sequences,
                spec.light,
                context.device,
                lambda done: context.progress(done, "predicting structures"),
            )

        (start,), reason = fold([spec.begin])
        if start is None:
            return *nothing, reason
        of_chains, reason = fold(finals.loc[costed, "sequence"].tolist())
        finals.loc[costed, structures.CONFIDENCES] = [
            structures.confidences(structure, spec.places) for structure in of_chains
        ]
        by_row = dict(zip(finals.index[costed], of_chains, strict=True))
        shown = {"start": start}
        for condition in (UNSTEERED, STEERED):
            if structure := by_row[median_chain(finals, condition, spec.goals[0].property)]:
                shown[condition] = structure
        if lost := of_chains.count(None):
            reason = f"{lost} of {len(of_chains)}: {reason}"
        return *structures.superposed(shown, spec.places), reason

    def plot(self, spec: SteeringSpec, result: Result) -> go.Figure:
        """What chains and random sets reached, of the first goal."""
        from neuronlab.figures.steering import finals

        goal = result.numbers["goals"][0]
        return finals(result.tables["finals"], goal["property"], goal["title"], goal["start"])


def _chains(parts: Sequence[Result]) -> pd.DataFrame:
    """Condition, set, chain, activity and sequences of all chains but those of other doses."""
    tables = [part.tables["chains"] for part in parts if "chains" in part.tables]
    return pd.concat(tables, ignore_index=True)


# Of chains that are not costed, and of all where nothing folds.
_UNKNOWN = dict.fromkeys(("perplexity", *structures.CONFIDENCES), np.nan)
_WORDS = {
    STEERED: "generating with the neurons and without",
    RANDOM: "generating with random neurons",
    AS_ACTIVE: "generating with random neurons that are as active",
    DOSES: "trying other a and b",
}


def choose(spec: SteeringSpec, model: Model) -> tuple[NeuronSet, NeuronScores | None]:
    """The neurons of a spec, and the scores they were chosen by (None where they were given).

    Raises:
        UserError: no neuron goes with the goal.
    """
    if spec.choose == "given":
        return NeuronSet((Neuron.parse(n) for n in spec.neurons), spec.given_by), None
    last = _CHOSEN.get(model)
    if last is None or last[0] != spec.key:
        last = _CHOSEN[model] = spec.key, *_best(spec, model)
    return last[1], last[2]


# The last choice on each model, for all shards of a run and as long as the model is loaded.
_CHOSEN: WeakKeyDictionary[Model, tuple[str, NeuronSet, NeuronScores]] = WeakKeyDictionary()


def _best(spec: SteeringSpec, model: Model) -> tuple[NeuronSet, NeuronScores]:
    scores = selection.together(
        scores_of(spec, model), [goal.sign * (-1 if spec.b < 0 else 1) for goal in spec.goals]
    )
    best = scores.top(spec.count)
    best = best[best["score"] > 0]
    if best.empty:
        goals = " and ".join(goal.title for goal in spec.goals)
        raise UserError(f"No neuron of {model.title} goes with this goal ({goals}): try another.")
    rows = best[["layer", "component", "neuron"]].itertuples(index=False)
    return NeuronSet((int(layer), c, int(index)) for layer, c, index in rows), scores


def scores_of(spec: SteeringSpec, model: Model) -> list[NeuronScores]:
    """Per goal the effect on it, or the correlation with it, of every neuron.

    Raises:
        UserError: the property has no per-residue form, or no neuron correlates beyond chance.
    """
    if spec.choose in ("effect", "written"):
        tokens = _tokens(spec)
        return selection.by_effect(
            model,
            spec.begin,
            _gains(spec, model),
            spec.places,
            spec.components,
            positions=None if tokens == "all" else tokens,
            masked=spec.masked,
            seed=spec.seed,
        )
    return correlations(
        model,
        spec.goals,
        spec.corpus,
        spec.components,
        residues=spec.choose == "residue",
        seed=spec.seed,
    )


def _gains(spec: SteeringSpec, model: Model) -> list[Float[np.ndarray, "place letter"]]:
    """Per goal, how much it rises with each amino acid at each free place.

    What a residue does to a predicted structure depends on the others, which steering replaces:
    where asked for, that of a predicted structure is the mean over what the unchanged model writes
    in their place, in chains that nothing is compared with.
    """
    start = written = [spec.begin]
    if spec.choose == "written":
        chains = generate(
            model,
            spec.begin,
            [None] * WRITTEN,
            chains=range(spec.chains, spec.chains + WRITTEN),
            free=spec.places,
            steps=min(spec.steps, WRITTEN_STEPS),
            mode=spec.mode,
            masked=spec.masked,
            temperature=spec.temperature,
            precision=spec.precision,
            seed=spec.seed,
        )
        written = [sequence for chain in chains for sequence in chain[(len(chain) + 1) // 2 :]]
    sequences = [written if goal.predicted else start for goal in spec.goals]
    return [
        np.mean([goal.gains(sequence, spec.places) for sequence in of_goal], axis=0)
        for goal, of_goal in zip(spec.goals, sequences, strict=True)
    ]


def _tokens(spec: SteeringSpec) -> Literal["all"] | tuple[int, ...]:
    return "all" if spec.positions == "all" else tuple(place + 1 for place in spec.places)
