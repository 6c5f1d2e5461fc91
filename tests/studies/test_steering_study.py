"""The steering study: every number from the tables, and the tables from plain runs."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from Bio.SeqUtils import ProtParamData
from contexts import context_with, run, watched
from pydantic import ValidationError

import neuronlab as nl
from neuronlab.models import Encoded
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons import Activity, NeuronSet
from neuronlab.proteins import corpora, predictors
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.features import FEATURES, PROPERTIES, substitution_effects
from neuronlab.proteins.sequences import TRASTUZUMAB_VH
from neuronlab.runs import Context, Store, read_spec, run_study
from neuronlab.runs.study import Cancelled
from neuronlab.statistics import seeds
from neuronlab.steering import goals as steering_goals
from neuronlab.steering import quality, structures
from neuronlab.steering.generation import generate
from neuronlab.steering.selection import by_effect, by_protein, by_residue
from neuronlab.studies import steering
from neuronlab.studies.bases.prompts import UBIQUITIN
from neuronlab.studies.steering import Goal, SteeringSpec, SteeringStudy, choose

STUDY = SteeringStudy()
START = "MKTAYIAKQRGSLEDWVVFHCN"
FREE = (3, 4, 5, 9, 10, 11, 12, 19)


spec = partial(
    SteeringSpec,
    model="x",
    sequence=START,
    free=FREE,
    count=5,
    steps=25,
    chains=3,
    dose_a=(1.0, 3.0),
    dose_b=(0.0, 1.0),
    dose_steps=12,
    masked=0.3,
    predictor="",
)


def value(name, sequence):
    return PROPERTIES[name].compute(sequence)


@pytest.fixture(autouse=True)
def nothing_kept():
    steering._CHOSEN.clear()
    yield
    steering._CHOSEN.clear()


@pytest.fixture
def model(tiny):
    return tiny("bert", "masked", protein=True)


def test_the_first_chains_are_shown_while_others_are_written(model, tmp_path):
    asked = spec(steps=5, dose_a=())
    result, previews = watched(model, asked, tmp_path)
    finals = result.tables["finals"].drop(columns=["perplexity", *structures.CONFIDENCES])
    assert len(previews) == len(STUDY.shards(asked, context_with(model)))
    assert set(previews[0].result.tables["finals"]["condition"]) == {"unsteered", "steered"}
    for preview in previews:
        some = preview.result.tables["finals"]
        pd.testing.assert_frame_equal(some, finals.head(len(some)))
    values = previews[-1].result.tables["trajectories"]
    pd.testing.assert_frame_equal(values, result.tables["trajectories"])
    (goal,) = previews[0].result.numbers["goals"]
    assert goal["start"] == result.numbers["start"]


# --- A whole run ---------------------------------------------------------------------------------

TWO = (Goal(), Goal(property="charge", direction="down"))


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory):
    found = tiny("bert", "masked", protein=True)
    asked = spec(goals=TWO)
    heard = []
    steering._CHOSEN.clear()
    folder = tmp_path_factory.mktemp("runs")
    result = run(found, asked, folder, on_progress=lambda done, words: heard.append(done))
    assert heard == sorted(heard)
    return found, asked, result


def sets_of(model, chosen, seed=0):
    """The sets of every condition, drawn as a person would."""
    drawn = seeds(seed, 20)
    start = Encoded(model.ids([model.residue_ids(START)]), 0, None, ())
    activity = Activity.of(model, [start], ("ffn",), everywhere=True)
    return activity, {
        "unsteered": [None],
        "steered": [chosen],
        "random": [chosen.matched_random(model.sizes, one) for one in drawn],
        "as active": [activity.matched(chosen, one) for one in drawn],
    }


@pytest.mark.slow
def test_chains_are_those_of_the_generation(ran):
    model, _, result = ran
    table = result.tables["neurons"]
    chosen = NeuronSet((r.layer, r.component, r.neuron) for r in table.itertuples())
    assert len(chosen) == 5
    activity, sets = sets_of(model, chosen)
    finals, trajectories = result.tables["finals"], result.tables["trajectories"]
    assert len(finals) == 42 * 3
    assert len(trajectories) == 42 * 3 * 26
    for condition, of_condition in sets.items():
        for number, neurons in enumerate(of_condition):
            change = neurons and nl.Affine(neurons, a=3.0, b=1.0)
            chains = generate(
                model, START, [change] * 3, chains=range(3), free=FREE, steps=25, masked=0.3
            )
            rows = finals[(finals["condition"] == condition) & (finals["set"] == number)]
            assert rows["chain"].tolist() == [0, 1, 2]
            assert rows["sequence"].tolist() == [chain[-1] for chain in chains]
            here = trajectories["condition"].eq(condition) & trajectories["set"].eq(number)
            for chain, own in trajectories[here].groupby("chain"):
                steps = own.sort_values("step")
                assert steps["step"].tolist() == list(range(26))
                for name in ("gravy", "charge"):
                    assert steps[name].tolist() == pytest.approx(
                        [value(name, s) for s in chains[chain]]
                    )
    for control in ("random", "as active"):
        levels = [activity.level(one) / activity.level(chosen) for one in sets[control]]
        assert result.numbers["activity"][control] == pytest.approx(np.mean(levels))


@pytest.mark.long
def test_what_a_chain_reached_is_the_mean_of_its_last_tenth(ran):
    _, _, result = ran
    by = ["condition", "set", "chain"]
    steps = result.tables["trajectories"].sort_values("step").groupby(by)
    for row in result.tables["finals"].itertuples():
        own = steps.get_group((row.condition, row.set, row.chain))
        for name in ("gravy", "charge"):  # 2 of 25 steps
            assert getattr(row, name) == pytest.approx(own[name].tail(2).mean())


def costed(finals, chains):
    """Of every condition as many chains: of random sets, the first of as many sets."""
    first = (finals["chain"] == 0) & (finals["set"] < chains)
    return first | finals["condition"].isin(("unsteered", "steered"))


def test_what_it_cost(ran):
    model, _, result = ran
    finals = result.tables["finals"]
    for row in finals.itertuples():
        free = "".join(row.sequence[i] for i in FREE)
        same = sum(a == b for a, b in zip(row.sequence, START, strict=True))
        assert row.identity == same / len(START)
        assert row.entropy == pytest.approx(FEATURES["entropy"].compute(free))
        assert row.longest_repeat == quality.longest_repeat(row.sequence, FREE)
    known = finals["perplexity"].notna()
    assert known.tolist() == costed(finals, 3).tolist()
    assert finals[known].groupby("condition").size().tolist() == [3, 3, 3, 3]
    expected = quality.pseudo_perplexity(model, finals.loc[known, "sequence"].tolist(), FREE)
    assert finals.loc[known, "perplexity"].to_numpy() == pytest.approx(expected, rel=1e-4)
    assert finals[["confidence", "confidence_free"]].isna().all(axis=None)


def test_the_numbers_are_those_of_the_tables(ran):
    _, _, result = ran
    finals = result.tables["finals"]
    assert len(result.numbers["goals"]) == 2
    for numbers, name, direction in zip(
        result.numbers["goals"], ("gravy", "charge"), ("up", "down"), strict=True
    ):
        assert (numbers["property"], numbers["direction"]) == (name, direction)
        assert numbers["start"] == pytest.approx(value(name, START))
        own = {c: rows[name].to_numpy() for c, rows in finals.groupby("condition")}
        steered = own["steered"]
        for condition in ("unsteered", "steered"):
            assert numbers[condition]["mean"] == pytest.approx(np.mean(own[condition]))
            assert numbers[condition]["sd"] == pytest.approx(np.std(own[condition], ddof=1))
        for control in ("random", "as active"):
            rows = finals[finals["condition"] == control]
            means = rows.groupby("set")[name].mean()
            within = np.sqrt(rows.groupby("set")[name].var().mean())
            away = steered.mean() - means.mean()
            better = means >= steered.mean() if direction == "up" else means <= steered.mean()
            assert numbers[control] == pytest.approx(
                {
                    "mean": means.mean(),
                    "between": means.std(),
                    "within": within,
                    "effect_size": away / within,
                    "z": away / means.std(),
                    "p_value": (1 + better.sum()) / 21,
                    "floor": 1 / 21,
                }
            )
        assert numbers["shift"] == pytest.approx(steered.mean() - own["unsteered"].mean())
        control = numbers["control"]
        for key in ("effect_size", "z", "p_value", "floor"):
            assert numbers[key] == numbers[control][key]
        assert numbers["p_value"] == max(numbers[c]["p_value"] for c in ("random", "as active"))
    first = result.numbers["goals"][0]
    assert all(result.numbers[key] == first[key] for key in first)
    assert result.numbers["free"] == len(FREE)


def test_doses(ran):
    model, _, result = ran
    table = result.tables["doses"]
    chosen = NeuronSet(
        (r.layer, r.component, r.neuron) for r in result.tables["neurons"].itertuples()
    )
    assert [(r.a, r.b, r.chain) for r in table.itertuples()] == [
        (a, b, chain) for a in (1.0, 3.0) for b in (0.0, 1.0) for chain in (0, 1)
    ]
    for row in table.itertuples():
        change = nl.Affine(chosen, a=row.a, b=row.b)
        (chain,) = generate(
            model, START, [change], chains=[row.chain], free=FREE, steps=12, masked=0.3
        )
        assert row.gravy == pytest.approx(value("gravy", chain[-1]))  # 1 of 12 steps
        assert row.charge == pytest.approx(value("charge", chain[-1]))
        assert row.entropy == pytest.approx(
            FEATURES["entropy"].compute("".join(chain[-1][i] for i in FREE))
        )


def test_the_neurons_are_the_best_by_effect(ran):
    model, _, result = ran
    gains = [
        substitution_effects(START, PROPERTIES[name].compute, FREE) for name in ("gravy", "charge")
    ]
    up, down = (own["ffn"] for own in by_effect(model, START, gains, FREE, ("ffn",), masked=0.3))
    score = up / np.sqrt((up**2).mean()) - down / np.sqrt((down**2).mean())
    order = np.argsort(-score.ravel())[:5]
    table = result.tables["neurons"]
    assert {(r.layer, r.neuron) for r in table.itertuples()} == {
        tuple(map(int, np.unravel_index(i, score.shape))) for i in order
    }
    assert sorted(table["score"])[::-1] == pytest.approx(score.ravel()[order].tolist(), rel=1e-3)


def test_a_predicted_structure_is_steered_from_what_the_model_writes(tiny, monkeypatch):
    """Gains that differ from sequence to sequence: their mean over the second half of the steps."""
    model = tiny("esm", "masked")
    asked = []

    def gains(sequence, state, stretch):
        asked.append(sequence)
        return np.random.default_rng(len(asked)).normal(size=(len(sequence), 20))

    monkeypatch.setattr(steering_goals.secondary, "substitution_gains", gains)
    goals = ({"property": "predicted_helix"}, {"property": "charge"})
    helix = spec(goals=goals, choose="written", steps=4, chains=2)
    scores = steering.scores_of(helix, model)
    written = generate(
        model, START, [None] * 8, chains=range(2, 10), free=FREE, steps=4, masked=0.3
    )
    assert asked == [sequence for chain in written for sequence in chain[3:]]
    assert START not in asked
    means = np.mean(
        [np.random.default_rng(n + 1).normal(size=(len(START), 20)) for n in range(len(asked))], 0
    )
    charge = substitution_effects(START, PROPERTIES["charge"].compute, FREE)
    by_hand = by_effect(model, START, [means[list(FREE)], charge], FREE, ("ffn",), masked=0.3)
    for of_study, of_hand in zip(scores, by_hand, strict=True):
        assert np.array_equal(of_study["ffn"], of_hand["ffn"])


def test_what_is_written_counts_for_a_predicted_structure_alone():
    with pytest.raises(ValidationError, match="choose by effect"):
        spec(choose="written")


@pytest.mark.slow
def test_strands_of_ubiquitin_go_up():
    goal = {"property": "predicted_strand", "direction": "up"}
    asked = {"model": "esm2-8m", "light": "", "corpus": "pdb", "choose": "written", "steps": 15}
    asked |= {"goals": (goal,), "predictor": "", "dose_a": (), "dose_b": (), "chains": 2}
    result = nl.run("steering", sequence=UBIQUITIN, **asked)
    numbers = result.numbers
    assert numbers["steered"]["mean"] > numbers["unsteered"]["mean"] + 0.1
    assert numbers["p_value"] <= 0.048


@pytest.mark.long
def test_steering_moves_the_goal(tiny, tmp_path):
    """On a random model too: what is predicted is what the neurons push."""
    model = tiny("bert", "masked", protein=True)
    found = {
        direction: run(
            model,
            spec(goals=(Goal(direction=direction),), count=20, b=2.0, a=1.0, steps=15, dose_a=()),
            tmp_path,
        )
        for direction in ("up", "down")
    }
    assert found["up"].numbers["effect_size"] > 1 > -1 > found["down"].numbers["effect_size"]
    for direction in found:
        assert found[direction].numbers["p_value"] == 1 / 21
    assert "doses" not in found["up"].tables


@pytest.mark.long
def test_the_same_spec_gives_the_same_result(model, tmp_path):
    asked = spec(steps=4, chains=2, dose_a=())
    first = run(model, asked, tmp_path / "a")
    steering._CHOSEN.clear()
    again = run(model, asked, tmp_path / "b")
    assert first.numbers == again.numbers
    for name in first.tables:
        pd.testing.assert_frame_equal(first.tables[name], again.tables[name])
    other = run(model, asked.model_copy(update={"seed": 1}), tmp_path / "c")
    assert (
        other.tables["finals"]["sequence"].tolist() != first.tables["finals"]["sequence"].tolist()
    )


def test_random_sets_of_another_seed_are_all_others(model):
    chosen = NeuronSet([(0, "ffn", i) for i in range(5)] + [(1, "ffn", i) for i in range(5)])
    drawn = []
    for seed in (0, 1):
        rows = [
            row
            for control in ("random", "as active")
            for row in STUDY._rows(spec(seed=seed), model, chosen, control, range(20))
        ]
        drawn.append({(row["condition"], row["change"].neurons) for row in rows})
        assert len(drawn[-1]) > 30  # few neurons are alike in a small model: some sets come twice
    random = [{sets for name, sets in one if name == "random"} for one in drawn]
    assert not random[0] & random[1]


@pytest.mark.long
def test_a_result_is_the_same_after_an_interruption(model, tmp_path):
    asked = spec(steps=4, chains=2, dose_steps=2)
    whole = run(model, asked, tmp_path / "a")
    store = Store(tmp_path / "b")
    heard = []
    context = context_with(
        model,
        on_progress=lambda done, words: heard.append(words),
        cancelled=lambda: any("random" in words for words in heard),
    )
    with pytest.raises(Cancelled):
        run_study(STUDY, asked, store, context)
    assert store.finished_shards(asked.key) == {0}
    again = run_study(STUDY, asked, store, context_with(model))
    assert again.numbers == whole.numbers
    for name in whole.tables:
        pd.testing.assert_frame_equal(again.tables[name], whole.tables[name], check_dtype=False)
    store.save(asked, again, seconds=1.0)
    assert store.load(asked.key)[1].numbers["property"] == "gravy"


@pytest.mark.long
@pytest.mark.parametrize("mode", ["full", "best"])
def test_other_ways_to_generate(model, tmp_path, mode):
    asked = spec(mode=mode, steps=10, chains=2, dose_a=(), positions="free")
    result = run(model, asked, tmp_path)
    for sequence in result.tables["finals"]["sequence"]:
        assert all(sequence[i] == START[i] for i in range(len(START)) if i not in FREE)
    if mode == "best":
        for _, chain in result.tables["trajectories"].groupby(["condition", "set", "chain"]):
            values = chain.sort_values("step")["gravy"].to_numpy()[1:]
            assert (np.diff(values) >= 0).all()


# --- Which neurons -------------------------------------------------------------------------------


def corpus(count=60, length=20):
    """Proteins of very different compositions."""
    draw = np.random.default_rng(0)
    shares = [draw.dirichlet(np.full(20, 0.1)) for _ in range(count)]
    return [
        AnnotatedProtein(f"p{i}", "".join(draw.choice([*AMINO_ACIDS], length, p=shares[i])))
        for i in range(count)
    ]


@pytest.mark.slow
def test_correlations_over_proteins_and_residues(model, monkeypatch):
    monkeypatch.setattr(corpora, "proteins", lambda name: corpus())
    sequences = [p.sequence for p in corpus()]
    from neuronlab.labels.exemplars import pooled

    for how in ("protein", "residue"):
        for direction, b in (("up", 1.0), ("up", -1.0), ("down", 1.0)):
            asked = spec(choose=how, goals=(Goal(direction=direction),), b=b)
            chosen, _ = choose(asked, model)
            if how == "protein":
                values = np.array([value("gravy", s) for s in sequences])
                own = by_protein(pooled(model, sequences, ("ffn",), "mean"), values)
            else:
                own = by_residue(
                    model,
                    sequences,
                    lambda s: np.array([ProtParamData.kd[x] for x in s]),
                    ("ffn",),
                )
            sign = -1 if (direction == "down") != (b < 0) else 1
            order = np.argsort(-sign * own["ffn"].ravel())[:5]
            assert {(n.layer, n.index) for n in chosen} == {
                tuple(map(int, np.unravel_index(i, own["ffn"].shape))) for i in order
            }


def test_a_protein_without_the_property_is_left_out(model, monkeypatch):
    """The mean hydropathy of unknown residues is no number, which one may not hand on."""
    monkeypatch.setattr(corpora, "proteins", lambda name: corpus())
    without, _ = choose(spec(choose="protein"), model)
    steering._CHOSEN.clear()
    more = [*corpus(), AnnotatedProtein("unknown", "XXXXXXXX")]
    monkeypatch.setattr(corpora, "proteins", lambda name: more)
    found, _ = choose(spec(choose="protein"), model)
    assert found == without


def test_neurons_that_are_given_are_taken(model, tmp_path):
    given = ("0.ffn.3", "2.residual.5", "1.value.0")
    asked = spec(choose="given", neurons=given, given_by="label", steps=2, chains=2, dose_a=())
    result = run(model, asked, tmp_path)
    table = result.tables["neurons"]
    assert {f"{r.layer}.{r.component}.{r.neuron}" for r in table.itertuples()} == set(given)
    assert "score" not in table


def test_a_goal_that_nothing_goes_with_is_told(model, monkeypatch, sentence):
    """Proteins of one property: nothing can correlate."""
    draw = np.random.default_rng(1)
    same = [AnnotatedProtein(f"p{i}", "".join(draw.permutation([*AMINO_ACIDS]))) for i in range(30)]
    monkeypatch.setattr(corpora, "proteins", lambda name: same)
    sentence(choose, spec(choose="protein"), model, says=("hydropathy", "beyond chance"))
    goals = (Goal(property="isoelectric_point"),)
    sentence(choose, spec(choose="residue", goals=goals), model, says="no sum over residues")
    monkeypatch.setattr(corpora, "proteins", lambda name: same[:9])
    sentence(choose, spec(choose="protein"), model, says="too few")
    # Tryptophan that is protected leaves nothing to gain by effect.
    monkeypatch.setattr(
        steering_goals, "substitution_effects", lambda *a: np.zeros((len(FREE), 20))
    )
    sentence(choose, spec(), model, says="No neuron")


@pytest.mark.parametrize(
    "given", [("0.ffn.99",), ("9.ffn.0",), ("0.key.-1",), ("nothing",), ("0.mlp.3",)]
)
def test_neurons_that_are_none_are_refused(model, tmp_path, sentence, given, hooks_of):
    hooks = hooks_of(model)
    asked = spec(choose="given", neurons=given, steps=2)
    sentence(run, model, asked, tmp_path)
    assert hooks_of(model) == hooks


def test_models_that_fill_in_no_residues(tiny, tmp_path, sentence):
    for found in (tiny("esm", "classifier"), tiny("bert", "masked"), tiny("llama")):
        sentence(run, found, spec(), tmp_path, says=(found.title, "masked protein"))


def test_a_protein_beyond_the_model(model, tmp_path, sentence):
    sentence(run, model, spec(sequence="MK" * 100), tmp_path, says="shorten")


# --- Specs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"free": (22,)},
        {"free": (-1,)},
        {"free": (12,), "length": 12},
        {"sequence": ""},
        {"sequence": "MK1"},
        {"sequence": "MKX"},
        {"light": "??"},
        {"goals": ()},
        {"goals": (Goal(), Goal(property="charge"), Goal(property="aromaticity"))},
        {"goals": (Goal(), Goal(direction="down"))},
        {"choose": "given"},
        {"choose": "label"},
        {"components": ()},
        {"components": ("mlp",)},
        {"predictor": "alphafold"},
        {"a": float("nan")},
        {"b": 1e3},
        {"dose_a": (float("inf"),)},
        {"dose_b": (0.0, 1e30)},
        {"dose_b": (float("nan"),)},
        {"dose_a": tuple(np.linspace(0, 1, 50))},
        {"masked": 0.0},
        {"masked": 1.1},
        {"temperature": 0.0},
        {"steps": 0},
        {"chains": 1},
        {"count": 0},
        {"seed": -1},
        {"random_sets": 19},
        {"length": 1},
        {"wrong": 1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        spec(**wrong)


@pytest.mark.parametrize("name", ["length", "entropy", "longest_repeat", "dssp_helix", "nothing"])
def test_only_computed_properties_are_goals(name):
    with pytest.raises(ValidationError, match="there is no property"):
        Goal(property=name)


def test_length_changes_only_when_asked():
    assert spec().begin == START
    assert spec(length=22).begin == START
    longer = spec(length=30, free=())
    assert longer.begin[:22] == START
    assert len(longer.begin) == 30
    assert set(longer.begin[22:]) <= set(AMINO_ACIDS)
    assert longer.begin == spec(length=30, free=()).begin
    assert longer.begin != spec(length=30, free=(), seed=1).begin
    assert spec(length=20).begin == START[:20]
    assert longer.places == tuple(range(30))
    assert spec(free=(5, 3, 5)).places == (3, 5)
    assert spec(sequence=" mkt\nay ", free=()).begin == "MKTAY"


def test_the_default_is_trastuzumabs_heavy_chain():
    default = STUDY.default()
    assert default.sequence == TRASTUZUMAB_VH
    assert "".join(TRASTUZUMAB_VH[i] for i in default.free) == "GFNIKDTYIYPTNGYTSRWGGDGFYAMDY"
    assert (default.model, default.count, default.a, default.b) == ("antiberty", 100, 3.0, 1.0)
    assert (default.choose, default.goals) == ("effect", (Goal(),))
    assert (default.random_sets, default.chains) == (20, 4)
    assert predictors.PREDICTORS[default.predictor].fits(default.begin, default.light) == ""
    shards = STUDY.shards(default, Context())
    assert (shards[0][0], shards[-1][0]) == ("steered", "doses")
    for control in ("random", "as active"):
        assert [i for what, sets in shards if what == control for i in sets] == list(range(20))
    more = STUDY.shards(spec(random_sets=23, dose_a=()), Context())
    assert more[-1] == ("as active", range(20, 23))
    again = read_spec(default.to_json(), {"steering": SteeringSpec})
    assert again == default
    assert again.key == default.key


def test_more_work_takes_longer(model):
    def seconds(**changes):
        return STUDY.cost(spec(**changes), context_with(model)).seconds

    usual = seconds()
    assert usual > 0
    for more in ({"steps": 50}, {"chains": 9}, {"random_sets": 40}, {"dose_steps": 50}):
        assert seconds(**more) > usual
    assert seconds(dose_a=()) < usual


# --- Structures ----------------------------------------------------------------------------------


def stub(refused=()):
    """A predictor whose confidence and fold follow from the sequence, and which refuses some."""

    def predict(sequence, light, device):
        residues = sequence + light
        turns = np.arange(len(residues))[:, None, None] + np.arange(4)[None, :, None] / 4
        places = np.concatenate([np.cos(turns) * 5, np.sin(turns) * 5, 1.5 * turns], -1)
        confidence = np.array([50.0 + ord(x) % 26 for x in sequence] + [7.0] * len(light))
        return predictors.Atoms([("N", "CA", "C", "O")] * len(residues), places, confidence)

    def fits(sequence, light):
        return "This is no protein that it knows." if sequence in refused else ""

    return predictors.Predictor("stub", "Stub", "", "", fits, lambda: "", predict)


FOLDED = {"predictor": "stub", "light": "DIQM", "steps": 5, "chains": 3, "dose_a": ()}


def test_structures(model, tmp_path, monkeypatch):
    monkeypatch.setitem(predictors.PREDICTORS, "stub", stub())
    result = run(model, spec(**FOLDED), tmp_path)
    finals, table = result.tables["finals"], result.tables["structures"]

    def confidence(sequence):
        return np.mean([50.0 + ord(x) % 26 for x in sequence])

    def confidence_free(sequence):
        return np.mean([50.0 + ord(sequence[i]) % 26 for i in FREE])

    folded = finals[costed(finals, 3)]
    assert len(folded) == 12
    for column, expected in (("confidence", confidence), ("confidence_free", confidence_free)):
        assert folded[column].tolist() == pytest.approx([*map(expected, folded["sequence"])])
        assert finals[column].notna().sum() == 12
    assert result.numbers["no_structures"] == ""
    assert table["name"].tolist() == ["start", "unsteered", "steered"]
    assert set(result.files) == {"start.pdb", "unsteered.pdb", "steered.pdb"}
    assert table["sequence"][0] == START + "DIQM"
    for row in table.itertuples():
        heavy = row.sequence.removesuffix("DIQM")
        assert row.confidence == pytest.approx(confidence(heavy))  # of the steered chain alone
        assert row.confidence_free == pytest.approx(confidence_free(heavy))
        assert row.helix + row.strand + row.coil == pytest.approx(1)
        assert row.helix == row.secondary.count("H") / len(row.sequence)
        assert row.strand == row.secondary.count("E") / len(row.sequence)
        assert row.rmsd == pytest.approx(0, abs=1e-3)
        if row.name == "start":
            continue
        own = finals[finals["condition"] == row.name].sort_values("gravy", kind="stable")
        assert heavy == own["sequence"].tolist()[1]  # the median of three


@pytest.mark.long
def test_what_folds_no_more_costs_its_own_structure_alone(model, tmp_path, monkeypatch):
    monkeypatch.setitem(predictors.PREDICTORS, "stub", stub())
    whole = run(model, spec(**FOLDED), tmp_path / "a")
    finals = whole.tables["finals"]
    shown = whole.tables["structures"]["sequence"][2].removesuffix("DIQM")
    monkeypatch.setitem(predictors.PREDICTORS, "stub", stub({shown}))
    result = run(model, spec(**FOLDED), tmp_path / "b")
    lost = (finals["sequence"] == shown) & costed(finals, 3)
    known = result.tables["finals"]["confidence"].notna()
    assert (known == (costed(finals, 3) & ~lost)).all()
    assert set(result.files) == {"start.pdb", "unsteered.pdb"}
    assert f"{lost.sum()} of 12" in result.numbers["no_structures"]
    result.save(tmp_path / "c")


def test_without_structures_there_is_a_reason(model, tmp_path, monkeypatch):
    quick = {"steps": 2, "chains": 2, "dose_a": ()}
    assert "asked for" in run(model, spec(**quick), tmp_path).numbers["no_structures"]
    monkeypatch.setitem(predictors.PREDICTORS, "stub", stub({START}))
    result = run(model, spec(**quick, predictor="stub"), tmp_path)
    assert "no protein" in result.numbers["no_structures"]
    columns = "name sequence confidence confidence_free rmsd helix strand coil secondary"
    assert list(result.tables["structures"].columns) == columns.split()
    assert result.tables["structures"].empty
    assert result.files == {}
