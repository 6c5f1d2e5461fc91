"""Exemplars of a whole corpus: every neuron against a full sort, in one portion or many."""

import numpy as np
import pytest
from contexts import context_with, run
from pydantic import ValidationError
from tiny_models import protein_encoder

import neuronlab as nl
from neuronlab.labels.exemplars import pooled
from neuronlab.proteins import corpora, families, features
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.runs import Cancelled, Store, read_spec, run_study
from neuronlab.studies import exemplars
from neuronlab.studies.exemplars import CHOSEN, EXPLAINED, JUDGED, ExemplarsSpec, ExemplarsStudy

STUDY = ExemplarsStudy()
ENDS = (("top", -1), ("bottom", 1))


def proteins(count=90, seed=0, name="p{}"):
    draw = np.random.default_rng(seed)
    return [
        AnnotatedProtein(
            name.format(i),
            "".join(draw.choice([*"ACDEFGHIKLMNPQRSTVWY"], draw.integers(8, 30))),
            tuple(f"kind: {w}" for w in "abc" if draw.random() < 0.4),
        )
        for i in range(count)
    ]


OWN = proteins()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    corpora._read.cache_clear()
    return tmp_path


@pytest.fixture
def model(tiny):
    return tiny("esm", "masked")


def spec(own=OWN, **changes):
    settings = {
        "model": "x",
        "corpus": corpora.keep("own", own),
        "components": ("ffn", "residual"),
        "keep": 6,
        "held_out": 20,
    }
    return ExemplarsSpec(**settings | changes)


def alike(one, other, **near):
    assert one.numbers == other.numbers
    assert one.tables["proteins"].equals(other.tables["proteins"])
    assert one.arrays.keys() == other.arrays.keys()
    for name, own in one.arrays.items():
        assert own.dtype == other.arrays[name].dtype
        rounded = {"rel": 2e-3} if own.dtype == np.float16 else {}
        assert own == pytest.approx(other.arrays[name], **near | rounded), name


# --- Against a full sort -------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_exemplars_are_those_of_a_full_sort(model, tmp_path, monkeypatch, pooling):
    monkeypatch.setattr(exemplars, "PORTION", 40)
    asked = spec(pooling=pooling, held_out=12)
    result = run(model, asked, tmp_path)
    table = result.tables["proteins"]
    side = asked.sides(OWN)
    assert table["name"].tolist() == [p.name for p in OWN]  # so few are all background
    assert table["side"].tolist() == side.tolist()
    assert (table["background"] == (side == EXPLAINED)).all()
    explained = np.flatnonzero(side == EXPLAINED)
    for c in asked.components:
        whole = pooled(model, [p.sequence for p in OWN], (c,), pooling)[c].numpy()
        own = whole[explained]
        for end, sign in ENDS:
            values, at = result.arrays[f"{end}.{c}"], result.arrays[f"{end}_at.{c}"]
            expected = sign * np.sort(sign * own, axis=0)[:6]
            assert values == pytest.approx(np.moveaxis(expected, 0, -1), abs=1e-4)
            layers, neurons = np.ogrid[: whole.shape[1], : whole.shape[2]]
            there = whole[at, layers[..., None], neurons[..., None]]
            assert there == pytest.approx(values, abs=1e-4)
            assert np.isin(at, explained).all()
            assert all(len(set(row)) == 6 for row in at.reshape(-1, 6).tolist())
        assert result.arrays[f"mean.{c}"] == pytest.approx(own.mean(0), abs=1e-4)
        assert result.arrays[f"sd.{c}"] == pytest.approx(own.std(0), abs=1e-4)
        held = result.arrays[f"held.{c}"]
        assert held.dtype == np.float16
        assert held == pytest.approx(whole[side != EXPLAINED], rel=2e-3, abs=1e-3)
    assert result.numbers == {"proteins": 90, "explained": 78, "cut": 0}


@pytest.mark.long
def test_an_encoder_alone_has_exemplars(tmp_path):
    """As ProtT5 is, of a model in memory."""
    hf, tokenizer = protein_encoder("▁")
    encoder = nl.load(hf, tokenizer)
    found = run(encoder, spec(), tmp_path)
    sequences = found.tables["proteins"]["sequence"]
    for component in ("ffn", "residual"):
        values = pooled(encoder, [*sequences], (component,), "mean")[component].numpy()
        top, rows = found.arrays[f"top.{component}"], found.arrays[f"top_at.{component}"]
        assert top.shape == (2, encoder.sizes[component], 6)
        at = np.take_along_axis(values.transpose(1, 2, 0), rows, 2)
        assert at == pytest.approx(top, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("portion", [17, 40])
def test_portions_and_steps_change_nothing(model, tmp_path, monkeypatch, portion):
    asked = spec()
    whole = run(model, asked, tmp_path / "whole")
    monkeypatch.setattr(exemplars, "PORTION", portion)
    assert len(STUDY.shards(asked, context_with(model))) == -(-90 // portion)
    alike(run(model, asked, tmp_path / "portions"), whole, abs=1e-4)
    monkeypatch.setattr(exemplars, "_HELD", 3 * 3 * (model.sizes["ffn"] + model.sizes["residual"]))
    alike(run(model, asked, tmp_path / "steps"), whole, abs=1e-4)


def test_a_portion_may_be_held_out_altogether(model, tmp_path, monkeypatch):
    asked = spec(OWN[:24], held_out=60, components=("ffn",))
    whole = run(model, asked, tmp_path / "whole")
    assert whole.numbers["explained"] == 16
    monkeypatch.setattr(exemplars, "PORTION", 1)
    alike(run(model, asked, tmp_path / "ones"), whole, abs=1e-4)


def test_the_same_spec_gives_the_same(model, tmp_path):
    alike(run(model, spec(), tmp_path / "a"), run(model, spec(), tmp_path / "b"))
    other = run(model, spec(seed=1), tmp_path / "c")
    assert other.tables["proteins"]["side"].tolist() != spec().sides(OWN).tolist()


def test_an_interrupted_run_goes_on_where_it_was(model, tmp_path, monkeypatch, hooks_of):
    monkeypatch.setattr(exemplars, "PORTION", 20)
    whole = run(model, spec(), tmp_path / "whole")
    hooks, read, allowed = hooks_of(model), [], 3

    def counted(model, sequences, components, pooling, progress):
        read.append(len(sequences))

        def report(fraction):
            progress(fraction)
            if len(read) > allowed:
                raise Cancelled

        return pooled(model, sequences, components, pooling, report)

    monkeypatch.setattr(exemplars, "pooled", counted)
    store = Store(tmp_path / "resumed")
    with pytest.raises(Cancelled):
        run_study(STUDY, spec(), store, context_with(model))
    assert store.finished_shards(spec().key) == {0, 1, 2}
    assert hooks_of(model) == hooks
    read.clear()
    context = context_with(model)
    resumed = run_study(STUDY, spec(), store, context)
    assert read == [20, 10]
    assert 0.4 < context.skipped < 0.6
    alike(resumed, whole)


def test_a_cancelled_run_ends_soon(model, tmp_path):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        run(model, spec(), tmp_path, cancelled=cancelled)


def test_portions_are_joined_one_at_a_time(model, tmp_path, monkeypatch, without_type_checks):
    """Many portions together may not fit in memory."""
    monkeypatch.setattr(exemplars, "PORTION", 20)
    assert STUDY.streams
    store = Store(tmp_path)
    loaded = []
    usual = store.load_shard
    monkeypatch.setattr(
        store, "load_shard", lambda key, index: loaded.append(index) or usual(key, index)
    )
    run_study(STUDY, spec(), store, context_with(model))
    assert loaded == [0, 1, 2, 3, 4]


def test_progress_never_falls(model, tmp_path):
    heard = []
    run(model, spec(), tmp_path, on_progress=lambda done, message: heard.append(done))
    assert heard == sorted(heard)
    assert len(heard) > 3


# --- The table -----------------------------------------------------------------------------------


def test_the_table_says_what_is_known(model, tmp_path):
    store = Store(tmp_path)
    result = run_study(STUDY, spec(), store, context_with(model))
    store.save(spec(), result, seconds=1)
    again = store.load(spec().key)[1]
    table = again.tables["proteins"]
    assert [list(own) for own in table["annotations"]] == [list(p.annotations) for p in OWN]
    assert table["sequence"].tolist() == [p.sequence for p in OWN]
    expected = features.table(OWN)
    for name in features.FEATURES:
        assert table[name].to_numpy() == pytest.approx(expected[name], rel=1e-5, nan_ok=True)


def test_a_large_corpus_keeps_a_sample_beside_what_matters(model, tmp_path, monkeypatch):
    whole = run(model, spec(components=("ffn",)), tmp_path / "whole")
    monkeypatch.setattr(exemplars, "BACKGROUND", 10)
    monkeypatch.setattr(exemplars, "_DESCRIBED", 7)
    asked = spec(components=("ffn",), keep=1)
    result = run(model, asked, tmp_path / "sample")
    table = result.tables["proteins"]
    assert table["background"].sum() == 10
    assert (table.loc[table["background"], "side"] == EXPLAINED).all()
    assert (table["side"] != EXPLAINED).sum() == len(result.arrays["held.ffn"]) == 20
    names, every = table["name"].to_numpy(), whole.tables["proteins"]["name"].to_numpy()
    for end, _ in ENDS:
        assert (
            names[result.arrays[f"{end}_at.ffn"]] == every[whole.arrays[f"{end}_at.ffn"][..., :1]]
        ).all()
    by_name = {p.name: p for p in OWN}
    for row in table.itertuples():
        assert row.sequence == by_name[row.name].sequence
        assert row.length == len(row.sequence)


# --- Sides ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("held_out", "half"), [(6, 3), (21, 10), (400, 15)])
def test_the_sides_are_as_large_as_asked(held_out, half):
    side = spec(held_out=held_out).sides(OWN)
    assert [(side == name).sum() for name in (CHOSEN, JUDGED, EXPLAINED)] == [
        half,
        half,
        90 - 2 * half,
    ]


def test_alleles_are_on_one_side():
    alleles = [
        AnnotatedProtein(f"IGHV{i % 17}*0{i} {i % 3}", p.sequence) for i, p in enumerate(OWN)
    ]
    for seed in range(5):
        side = spec(seed=seed, split="alleles").sides(alleles)
        for gene in range(17):
            assert len({s for s, p in zip(side, alleles, strict=True) if f"V{gene}*" in p.name}) < 2
        assert 3 <= (side == CHOSEN).sum() <= 10
        assert 3 <= (side == JUDGED).sum() <= 10


def related(each=3):
    """Families of proteins that differ in one residue."""
    return [
        AnnotatedProtein(f"{p.name}-{k}", p.sequence * 3 + "ACD"[k], ("species: man",))
        for p in OWN[:30]
        for k in range(each)
    ]


@pytest.mark.parametrize("split", ["families", "alleles"])
def test_relatives_are_on_one_side_unless_only_alleles_are(split):
    own = related()
    sequences = [p.sequence for p in own]
    for seed in range(5):
        side = spec(seed=seed, split=split).sides(own)
        assert 3 <= min((side == CHOSEN).sum(), (side == JUDGED).sum()) <= 10
        of_others = [np.nanmax(families.nearest(sequences, side != name)) for name in set(side)]
        assert max(of_others) < 0.5 if split == "families" else min(of_others) > 0.9


def test_species_are_on_one_side(model, tmp_path, sentence):
    own = [AnnotatedProtein(p.name, p.sequence, (f"species: {i % 30}",)) for i, p in enumerate(OWN)]
    side = spec(split="species").sides(own)
    for species in range(30):
        assert len(set(side[species::30])) == 1
    assert min((side == CHOSEN).sum(), (side == JUDGED).sum()) == 9
    sentence(spec(split="species").sides, related(), says="of one species")
    sentence(run, model, spec(split="species"), tmp_path, says="not told")


def test_the_largest_families_come_last():
    """So that no half is one family where there are others."""
    letters = "".join(p.sequence for p in OWN)
    family = [AnnotatedProtein(f"f{i}", letters[:60] + "ACDEFGHIKL"[i % 10]) for i in range(10)]
    for seed in range(10):
        side = spec(seed=seed).sides([*family, *OWN[10:]])
        assert (side[:10] == EXPLAINED).all()
        assert (side == CHOSEN).sum() == (side == JUDGED).sum() == 10


def test_a_large_family_takes_no_more_than_its_share():
    family = [AnnotatedProtein(f"IGHV1*{i}", p.sequence) for i, p in enumerate(OWN[:60])]
    for seed in range(10):
        side = spec(seed=seed, split="alleles").sides([*family, *OWN[60:]])
        assert (side[:60] == EXPLAINED).all()
        assert (side == CHOSEN).sum() == (side == JUDGED).sum() == 10


def test_another_seed_is_a_replication():
    """Whatever is drawn, seed 0 and seed 1 draw apart, and no purpose draws like another."""
    drawn = [
        tuple(spec(seed=seed).draw(purpose, *which).permutation(50))
        for seed in range(3)
        for purpose, which in (
            ("limit", ()), ("sides", ()), ("background", ()),
            ("neurons", (0,)), ("neurons", (1,)), ("neurons", (2,)),
        )
    ]  # fmt: skip
    assert len(set(drawn)) == len(drawn) == 18
    assert drawn[0] == tuple(spec(pooling="max").draw("limit").permutation(50))


def test_the_nearest_protein_that_explains_is_told(model, tmp_path):
    own = related()
    for split in ("families", "alleles"):
        asked = spec(own, split=split)
        table = run(model, asked, tmp_path).tables["proteins"]
        side = asked.sides(own)
        expected = families.nearest([p.sequence for p in own], side == EXPLAINED)
        assert table["nearest"].to_numpy() == pytest.approx(expected, nan_ok=True)
        held = table.loc[table["side"] != EXPLAINED, "nearest"]
        assert (held < 0.5).all() if split == "families" else (held > 0.5).any()


@pytest.mark.parametrize("count", [0, 1, 19])
def test_too_few_proteins_are_one_sentence(model, tmp_path, sentence, count):
    sentence(run, model, spec(OWN[:count]), tmp_path, says=[f"{count} proteins", "at least 20"])


def test_twenty_proteins_are_enough(model, tmp_path):
    result = run(model, spec(OWN[:20], keep=30), tmp_path)
    assert result.arrays["top.ffn"].shape == (3, model.sizes["ffn"], 14)
    assert result.numbers["explained"] == 14


@pytest.mark.parametrize("name", ["IGHV1*{}", "all the same"])
def test_only_relatives_are_one_sentence(model, tmp_path, sentence, name):
    sentence(run, model, spec(proteins(name=name), split="alleles"), tmp_path, says="one gene")
    alike = [AnnotatedProtein(f"p{i}", "MKTAYIAKQRWL" + "ACDEF"[i % 5]) for i in range(30)]
    sentence(run, model, spec(alike), tmp_path, says="relatives of one another")


# --- What proteins may be ------------------------------------------------------------------------


def test_unknown_residues_are_x_or_left_out(model, tmp_path):
    odd = [AnnotatedProtein("odd", "MKJ*TAYI"), *OWN[1:]]
    known = [AnnotatedProtein("odd", "MKXXTAYI"), *OWN[1:]]
    one, other = (
        run(model, spec(own), tmp_path / str(len(own[0].sequence))) for own in (odd, known)
    )
    for name, own in one.arrays.items():
        assert own == pytest.approx(other.arrays[name]), name
    assert exemplars._in_alphabet("MKJT", set("MKT")) == "MKT"
    assert exemplars._in_alphabet("MKJT", set("MKTX")) == "MKXT"
    assert exemplars._in_alphabet("MKT", set("MKTX")) == "MKT"


def test_long_proteins_are_cut_and_counted(model, tmp_path):
    room = model.max_tokens - 2
    long = [AnnotatedProtein(f"l{i}", "MKTAYIAKQR" * (7 + i)) for i in range(3)]
    exact = AnnotatedProtein("exact", ("MKTAYIAKQR" * 9)[:room])
    result = run(model, spec([*long, exact, *OWN[4:]]), tmp_path)
    assert result.numbers["cut"] == 3
    assert result.tables["proteins"].set_index("name").loc["l2", "length"] == 90


def test_other_models_and_corpora_are_one_sentence(tiny, tmp_path, sentence):
    wrong = tiny("bert", "masked")
    sentence(run, wrong, spec(), tmp_path, says="no protein model")
    sentence(run, wrong, spec(corpus="own-0123456789abcdef"), tmp_path, says="no corpus")


# --- Specs ---------------------------------------------------------------------------------------


def test_a_limit_draws_the_same_proteins():
    drawn = spec(limit=30).proteins()
    assert drawn == spec(limit=30).proteins()
    assert len({p.name for p in drawn}) == 30
    assert drawn == [p for p in OWN if p in drawn]  # in the order of the corpus
    assert drawn != spec(limit=30, seed=1).proteins()
    assert spec(limit=90).proteins() == spec(limit=None).proteins() == OWN


def test_a_spec_goes_through_its_json():
    asked = spec(limit=30, pooling="cls")
    again = read_spec(asked.to_json(), {"exemplars": ExemplarsSpec})
    assert again == asked
    assert again.key == asked.key
    both = spec(components=("residual", "ffn", "ffn"))
    assert both.key == spec().key
    assert len(both.components) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"components": ()},
        {"components": ("neurons",)},
        {"pooling": "median"},
        {"keep": 0},
        {"keep": 201},
        {"held_out": 5},
        {"limit": 19},
        {"seed": -1},
        {"split": "genes"},
        {"key": "sk-secret"},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        spec(**wrong)


def test_more_proteins_take_longer(model):
    context = context_with(model)
    less, more = (STUDY.cost(spec(limit=limit), context).seconds for limit in (30, None))
    assert 0 < less < more
