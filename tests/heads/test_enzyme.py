"""The enzyme model that comes with the project does as well as its card says."""

import json

import numpy as np
import pytest

from neuronlab.heads.enzyme import NAME, SAMPLE
from neuronlab.heads.parts import held_out
from neuronlab.models.catalogue import entry
from neuronlab.models.convert import DATA
from neuronlab.proteins.baselines import metrics
from neuronlab.proteins.families import unrelated
from neuronlab.runs import Context
from neuronlab.studies.bases.trunk import probabilities

CARD = json.loads((DATA / f"{NAME}.json").read_text("utf-8"))


def judged(model, proteins):
    tokens = [model.residue_ids(protein.sequence) for protein in proteins]
    labels = np.array([protein.label for protein in proteins])
    return metrics(labels, probabilities(model.hf, tokens, Context()))


def test_its_metrics_on_a_sample_are_those_of_its_card(enzymes):
    assert enzymes.labels == ["not an enzyme", "enzyme"]
    shortest = sorted(held_out(0)["test"], key=lambda protein: len(protein.sequence))[:SAMPLE]
    sample = {name: CARD["sample"][name] for name in ("accuracy", "f1", "auc")}
    assert judged(enzymes, shortest) == pytest.approx(sample, abs=0.01)


def test_the_catalogue_says_what_the_card_says():
    test, count = CARD["test"], CARD["sizes"]["test"]
    numbers = [f"{test[name]:.3f}".lstrip("0") for name in ("auc", "accuracy")]
    words = "AUC {} and accuracy {} on".format(*numbers)
    assert f"{words} {count} held-out chains" in entry(NAME).what


def test_only_the_last_layer_and_the_head_differ_from_the_trunk(enzymes, hemopi):
    ours, theirs = enzymes.hf.state_dict(), hemopi.hf.state_dict()
    assert ours.keys() == theirs.keys()
    changed = {name for name in ours if not (ours[name] == theirs[name]).all()}
    assert changed
    assert all(
        n.startswith(("esm.encoder.layer.5.", "esm.encoder.emb", "classifier.")) for n in changed
    )


@pytest.mark.slow
def test_its_metrics_are_those_of_its_card(enzymes):
    parts = held_out(0)
    for key, proteins in (
        ("test", parts["test"]),
        ("test, unrelated", unrelated(parts["test"], {p.name for p in parts["train"]}, 0.4)),
    ):
        stored = {name: CARD[key][name] for name in ("accuracy", "f1", "auc")}
        assert judged(enzymes, proteins) == pytest.approx(stored, abs=0.01)
