"""Predicted structures: the packages themselves, drawn helices and plain geometry as oracles."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from Bio.PDB import PDBParser
from Bio.SeqUtils import seq1

from neuronlab.models import weights
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import folding, predictors
from neuronlab.proteins.antibodies import variable_domain
from neuronlab.proteins.folding import (
    Folded,
    changed,
    fold,
    fractions,
    matched,
    secondary_structure,
    superposed,
)
from neuronlab.proteins.labelled import LABELLED
from neuronlab.proteins.predictors import PREDICTORS, Atoms
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
# Caplacizumab's first half (a nanobody) and a human lambda chain (IGLV1-44, IGLJ3).
NANOBODY = (
    "EVQLVESGGGLVQPGGSLRLSCAASGRTFSYNPMGWFRQAPGKGRELVAAISRTGGSTYYPDSVEGRFTISRDNAKRMVYLQMNSLRAED"
    "TAVYYCAAAGVRAEDGRVRTLPSEYTFWGQGTQVTVSS"
)
LAMBDA = (
    "QSVLTQPPSASGTPGQRVTISCSGSSSNIGSNTVNWYQQLPGTAPKLLIYSNNQRPSGVPDRFSGSKSGTSASLAISGLQSEDEADYYCA"
    "AWDDSLNGWVFGGGTKLTVL"
)


def parsed(pdb):
    return PDBParser(QUIET=True).get_structure("x", io.StringIO(pdb))


def ca(pdb):
    return np.array([a.coord for a in parsed(pdb).get_atoms() if a.name == "CA"], float)


def helix(residues, rise=1.5, turn=100.0):
    """An ideal alpha-helix: N, CA, C and O on cylinders (radius, angle, height of each atom)."""
    cylinders = [(1.55, -27.7, -0.93), (2.28, 0.0, 0.0), (1.67, 27.5, 1.07), (2.00, 23.0, 2.28)]
    places = np.empty((residues, 4, 3))
    for i in range(residues):
        for j, (radius, angle, height) in enumerate(cylinders):
            phi = np.radians(angle + turn * i)
            places[i, j] = radius * np.cos(phi), radius * np.sin(phi), height + rise * i
    return places


def drawn(*chains, places=None, confidence=None):
    """A structure of those chains, drawn, not predicted; helices where nothing is said."""
    sequence = "".join(chains)
    places = helix(len(sequence)) if places is None else places
    confidence = np.full(len(sequence), 50.0) if confidence is None else confidence
    ids = tuple(zip("HL", chains, strict=False))
    pdb = folding.pdb_text(ids, Atoms([folding.BACKBONE] * len(sequence), places, confidence))
    return Folded("drawn", pdb, sequence, ids, confidence, secondary_structure(pdb))


def rotation(seed):
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


# --- Text, secondary structure, superposition ----------------------------------------------------


def test_the_pdb_text_holds_what_was_put_in():
    rng = np.random.default_rng(0)
    heavy, light = AMINO_ACIDS, AMINO_ACIDS[::-1]
    places = rng.uniform(-900, 900, (40, 4, 3))
    confidence = rng.uniform(0, 100, 40)
    made = drawn(heavy, light, places=places, confidence=confidence)
    model = parsed(made.pdb)[0]
    assert [c.id for c in model] == ["H", "L"]
    assert ["".join(seq1(r.resname) for r in c) for c in model] == [heavy, light]
    assert [r.id[1] for r in model["L"]] == list(range(1, 21))
    read = np.array([[a.coord for a in r] for r in model.get_residues()])
    np.testing.assert_allclose(read, places, atol=6e-4)
    factors = [a.bfactor for a in model.get_atoms() if a.name == "CA"]
    np.testing.assert_allclose(factors, confidence, atol=6e-3)
    assert {a.element for a in model.get_atoms()} == {"N", "C", "O"}


def test_a_drawn_helix_is_a_helix():
    states = drawn("A" * 20).secondary
    assert len(states) == 20
    assert set(states[2:-2]) == {"H"}
    assert {states[0], states[-1]} == {"-"}


def test_one_helix_cut_into_two_chains_has_no_bond_across():
    whole, cut = drawn("A" * 24).secondary, drawn("A" * 12, "A" * 12).secondary
    assert "-" not in whole[2:-2]
    assert (cut[11], cut[12]) == ("-", "-")
    assert cut == drawn("A" * 12).secondary * 2


def test_a_residue_without_backbone_has_no_state():
    made = drawn("A" * 20)
    lines = [x for x in made.pdb.splitlines() if not (x[22:26] == "  10" and x[12:16] == " O  ")]
    states = secondary_structure("\n".join(lines))
    assert (len(states), states[9]) == (20, "-")
    assert set(states[2:9] + states[10:-2]) == {"H"}


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_a_short_peptide_has_no_structure(length):
    assert drawn("G" * length).secondary == "-" * length


def test_fractions_sum_to_one():
    assert fractions("HHE-") == {"H": 0.5, "E": 0.25, "-": 0.25}
    assert sum(fractions("").values()) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_structure_comes_back(seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform(-30, 30, (30, 4, 3))
    fixed = drawn("A" * 18, "C" * 12, places=places)
    moved = drawn("A" * 18, "C" * 12, places=places @ rotation(seed) + rng.uniform(-50, 50, 3))
    back, rmsd = superposed(moved, fixed)
    assert rmsd < 0.002
    np.testing.assert_allclose(ca(back.pdb), ca(fixed.pdb), atol=0.003)
    assert replace(back, pdb=moved.pdb) == moved


def test_the_rmsd_is_that_of_the_superposed_atoms():
    rng = np.random.default_rng(4)
    places = rng.uniform(-30, 30, (25, 4, 3))
    one = drawn("A" * 25, places=places)
    two = drawn("G" * 25, places=places + rng.normal(0, 1, places.shape))
    over, rmsd = superposed(two, one)
    apart = np.sqrt(((ca(over.pdb) - ca(one.pdb)) ** 2).sum(1).mean())
    assert rmsd == pytest.approx(apart, abs=0.002)
    assert rmsd == pytest.approx(superposed(one, two)[1], abs=0.002)
    # No small turn brings them nearer.
    for seed in range(5):
        turned = ca(over.pdb) + 0.02 * np.cross(
            np.random.default_rng(seed).normal(size=3), ca(over.pdb) - ca(over.pdb).mean(0)
        )
        assert np.sqrt(((turned - ca(one.pdb)) ** 2).sum(1).mean()) > rmsd - 1e-3


def test_an_inserted_residue_moves_the_others_along():
    sequence = "MKTAYIAKQRQISFVKSHFSRQ"
    longer = sequence[:9] + "WW" + sequence[9:]
    short, long = drawn(sequence), drawn(longer)
    expected = [[i, i + 2 * (i >= 9)] for i in range(len(sequence))]
    assert matched(short, long).tolist() == expected
    assert np.flatnonzero(changed(long, short)).tolist() == [9, 10]
    assert not changed(short, long).any()


def test_residues_match_within_their_chain():
    both, heavy = drawn("ACDEFG", "HIKL"), drawn("ACDQFG")
    assert matched(both, heavy).tolist() == [[i, i] for i in range(6)]
    # What the other has no chain for is not there in it.
    assert np.flatnonzero(changed(both, heavy)).tolist() == [3, 6, 7, 8, 9]
    assert np.flatnonzero(changed(heavy, both)).tolist() == [3]


def test_two_residues_are_too_few(sentence):
    sentence(superposed, drawn("AC"), drawn("AC"), says="fewer than three residues")


# --- Which proteins the antibody predictors know -------------------------------------------------


def test_variable_domains_of_antibodies():
    for heavy in (TRASTUZUMAB_VH, NANOBODY):
        assert variable_domain(heavy) == "heavy"
    for light in (TRASTUZUMAB_VL, LAMBDA):
        assert variable_domain(light) == "light"
    for other in (UBIQUITIN, TRASTUZUMAB_VH[:60], TRASTUZUMAB_VH + TRASTUZUMAB_VL, "A" * 110, ""):
        assert variable_domain(other) == ""


@pytest.mark.long
def test_no_protein_that_comes_with_the_app_is_taken_for_an_antibody():
    proteins = LABELLED["pdb_enzyme"].proteins
    assert len(proteins) == 3_000
    assert not [p for p in proteins if variable_domain(p.sequence)]


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_mutated_antibody_is_still_one(share):
    rng = np.random.default_rng(0)
    for _ in range(50):
        letters = np.array(list(TRASTUZUMAB_VH))
        hit = rng.random(len(letters)) < share
        letters[hit] = rng.choice(list(AMINO_ACIDS), hit.sum())
        assert variable_domain("".join(letters)) == "heavy"


@pytest.mark.parametrize("name", ["flash-abb", "igfold"])
def test_a_protein_that_is_no_antibody(name, sentence):
    sentence(fold, name, UBIQUITIN, says=["This protein", "antibody", PREDICTORS[name].title])
    sentence(fold, name, TRASTUZUMAB_VH, UBIQUITIN, says="The light chain")
    sentence(fold, name, TRASTUZUMAB_VL, TRASTUZUMAB_VH, says="swapped")


def test_what_is_no_sequence_or_no_predictor(sentence):
    sentence(fold, "flash-abb", "EVQ1", says="digit")
    sentence(fold, "flash-abb", " ", says="empty")
    sentence(fold, "alphafold", UBIQUITIN, says="flash-abb")


def test_predictors_that_are_not_there(monkeypatch, tmp_path, sentence):
    from neuronlab.models import hub

    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    for name in ("flash-abb", "igfold"):
        sentence(fold, name, TRASTUZUMAB_VH, says="fetch it first")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a: None)
    sentence(fold, "esmfold", UBIQUITIN, says=["hub is out of reach", "esmfold_v1"])
    assert PREDICTORS["esmfold"].fits(UBIQUITIN, "") == ""
    assert "600" in PREDICTORS["esmfold"].fits("A" * 601, "")


def test_every_predictor_says_its_licence():
    assert all(
        p.name == name and p.licence and p.what.endswith(".") for name, p in PREDICTORS.items()
    )
    assert "non-commercial" in PREDICTORS["igfold"].licence


# --- FlashABB ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fv():
    if not weights.installed("flash-abb"):
        pytest.skip("FlashABB has not been fetched")
    return fold("flash-abb", TRASTUZUMAB_VH, TRASTUZUMAB_VL)


@pytest.fixture(scope="module")
def package():
    """The package itself, with its own pickled weights."""
    import flash_abb

    return flash_abb.pretrained(device="cpu")


def test_flash_abb_is_what_the_package_gives(fv, package, tmp_path):
    with torch.no_grad():
        result = package([f"{TRASTUZUMAB_VH}|{TRASTUZUMAB_VL}"])
    result.to_pdbs(["fv"], pdb_dir=str(tmp_path))
    ours, theirs = (
        {(c.id, r.id[1], r.resname, a.name): a.coord for c in s[0] for r in c for a in r}
        for s in (parsed(fv.pdb), parsed((tmp_path / "fv.pdb").read_text()))
    )
    assert ours.keys() == theirs.keys()
    assert max(np.abs(ours[atom] - theirs[atom]).max() for atom in ours) <= 0.001
    bins = result.output["plddt"][0].softmax(-1).numpy()
    expected = bins @ np.linspace(1, 99, 50)
    np.testing.assert_allclose(fv.confidence, expected, atol=1e-3)


@pytest.mark.long
def test_flash_abb_of_a_heavy_chain_alone_is_what_the_package_gives(package):
    if not weights.installed("flash-abb"):
        pytest.skip("FlashABB has not been fetched")
    alone = fold("flash-abb", NANOBODY)
    with torch.no_grad():
        expected = package([f"{NANOBODY}|"]).output["positions"][-1, 0, :, 1].numpy()
    np.testing.assert_allclose(ca(alone.pdb), expected, atol=0.002)
    assert alone.chains == (("H", NANOBODY),)


def test_trastuzumab_is_a_pair_of_beta_sandwiches(fv):
    assert fv.chains == (("H", TRASTUZUMAB_VH), ("L", TRASTUZUMAB_VL))
    assert fv.sequence == TRASTUZUMAB_VH + TRASTUZUMAB_VL
    assert len(fv.secondary) == len(fv.confidence) == len(fv.sequence)
    assert fv.confidence.min() > 40
    assert fv.confidence.mean() > 90
    shares = fractions(fv.secondary)
    assert shares["E"] > 0.4 > 0.1 > shares["H"]
    model = parsed(fv.pdb)[0]
    for chain, bridge in (("H", (22, 96)), ("L", (23, 88))):
        one, two = (model[chain][place]["SG"].coord for place in bridge)
        assert 1.8 < np.linalg.norm(one - two) < 2.6
    steps = np.linalg.norm(np.diff(ca(fv.pdb), axis=0), axis=1)
    steps = np.delete(steps, len(TRASTUZUMAB_VH) - 1)
    assert 2.7 < steps.min() < steps.max() < 4.2
    # 3.8 angstrom, but for the two cis prolines of a kappa chain.
    assert (np.abs(steps - 3.8) < 0.5).mean() > 0.96


def test_a_light_chain_alone_is_folded_as_one(fv):
    alone = fold("flash-abb", TRASTUZUMAB_VL)
    assert alone.chains == (("L", TRASTUZUMAB_VL),)
    light = "\n".join(x for x in fv.pdb.splitlines() if x.startswith("ATOM") and x[21] == "L")
    pair = replace(fv, pdb=light, sequence=TRASTUZUMAB_VL, chains=alone.chains)
    assert superposed(alone, pair)[1] < 1.0


def test_small_letters_and_line_breaks_are_the_same_protein(fv):
    typed = fold(
        "flash-abb", f"{TRASTUZUMAB_VH[:50].lower()}\n{TRASTUZUMAB_VH[50:]}", TRASTUZUMAB_VL
    )
    assert typed.pdb == fv.pdb


# --- IgFold (opt-in) and ESMFold (a tiny one, drawn at random) -----------------------------------


@pytest.mark.slow
def test_igfold_agrees_with_flash_abb(fv):
    if reason := PREDICTORS["igfold"].available():
        pytest.skip(reason)
    other = fold("igfold", TRASTUZUMAB_VH, TRASTUZUMAB_VL)
    assert other.chains == fv.chains
    assert superposed(other, fv)[1] < 1.0
    assert other.confidence.mean() > 90
    assert {a.name for a in parsed(other.pdb).get_atoms()} == {"N", "CA", "C", "O", "CB"}


@pytest.fixture
def tiny_esmfold(tmp_path, monkeypatch):
    """A local folder with an ESMFold of a few thousand weights."""
    from transformers import EsmConfig, EsmForProteinFolding
    from transformers.models.esm.configuration_esm import get_default_vocab_list

    tokens = get_default_vocab_list()
    trunk = {
        "num_blocks": 1,
        "sequence_state_dim": 16,
        "pairwise_state_dim": 16,
        "sequence_head_width": 8,
        "pairwise_head_width": 8,
        "max_recycles": 1,
        "structure_module": {
            "sequence_dim": 16,
            "pairwise_dim": 16,
            "ipa_dim": 4,
            "resnet_dim": 8,
            "num_heads_ipa": 2,
            "num_blocks": 2,
        },
    }
    config = EsmConfig(
        vocab_size=len(tokens),
        pad_token_id=tokens.index("<pad>"),
        mask_token_id=tokens.index("<mask>"),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        position_embedding_type="rotary",
        is_folding_model=True,
        esmfold_config={"trunk": trunk, "fp16_esm": False},
        vocab_list=tokens,
    )
    torch.manual_seed(0)
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    model = EsmForProteinFolding(config).eval()
    model.save_pretrained(weights.folder(predictors.ESMFOLD))
    predictors._esmfold_model.cache_clear()
    yield model
    predictors._esmfold_model.cache_clear()


def test_esmfold_from_a_local_folder(tiny_esmfold):
    assert PREDICTORS["esmfold"].available() == ""
    made = fold("esmfold", UBIQUITIN)
    with torch.no_grad():
        expected = parsed(tiny_esmfold.infer_pdb(UBIQUITIN))
    ours, theirs = (
        {(r.id[1], r.resname, a.name): a.coord for r in s.get_residues() for a in r}
        for s in (parsed(made.pdb), expected)
    )
    assert ours.keys() == theirs.keys()
    assert max(np.abs(ours[atom] - theirs[atom]).max() for atom in ours) <= 0.002
    assert made.chains == (("A", UBIQUITIN),)
    assert ((made.confidence > 0) & (made.confidence < 100)).all()


def test_esmfold_drops_the_linker_of_two_chains(tiny_esmfold):
    made = fold("esmfold", UBIQUITIN, "ACDEFGHIKL")
    assert [(c.id, len(c)) for c in parsed(made.pdb)[0]] == [("H", 76), ("L", 10)]
    assert len(made.confidence) == len(made.secondary) == 86
