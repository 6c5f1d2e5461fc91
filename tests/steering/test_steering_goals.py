"""Goals: their values and gains, and what of them a spec's key holds."""

import numpy as np
import pytest
from pydantic import ValidationError

from neuronlab.proteins import secondary
from neuronlab.proteins.features import PROPERTIES, per_residue, substitution_effects
from neuronlab.steering.goals import Goal

SEQUENCES = ["MKTAYIAKQR", "GAVLKVLTTG"]


@pytest.fixture
def helices(monkeypatch):
    """A prediction that is known: alanine is a helix, all else is none."""

    def share(sequences, state, stretch=None):
        counted = slice(*stretch) if stretch else slice(None)
        return np.array([s[counted].count("A") / len(s[counted]) for s in sequences])

    gains = np.arange(200.0).reshape(10, 20)
    monkeypatch.setattr(secondary, "shares", share)
    monkeypatch.setattr(secondary, "substitution_gains", lambda *asked: gains)
    return gains


def test_values_are_the_property_of_each_sequence():
    for name in ("gravy", "charge", "isoelectric_point"):
        goal = Goal(property=name)
        expected = [PROPERTIES[name].compute(s) for s in SEQUENCES]
        assert goal.values(SEQUENCES).tolist() == expected
        assert [goal.value(s) for s in SEQUENCES] == expected
        effects = substitution_effects(SEQUENCES[0], PROPERTIES[name].compute, [1, 4])
        assert np.array_equal(goal.gains(SEQUENCES[0], [1, 4]), effects)


def test_a_predicted_structure_is_asked_in_one_call(helices):
    goal = Goal(property="predicted_helix")
    assert goal.values(SEQUENCES).tolist() == [0.2, 0.1]
    assert Goal(property="predicted_helix", stretch=(3, 5)).value(SEQUENCES[0]) == 0.5
    assert np.array_equal(goal.gains(SEQUENCES[0], [1, 4]), helices[[1, 4]])
    assert PROPERTIES["predicted_helix"].compute(SEQUENCES[1]) == 0.1


def test_each_residue_has_its_probability(monkeypatch):
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    monkeypatch.setattr(secondary, "predicted", lambda sequences: [secondary.Secondary(p)])
    assert per_residue("predicted_strand", "MK").tolist() == [0.3, 0.8]
    assert PROPERTIES["predicted_strand"].of_residues
    assert PROPERTIES["gravy"].of_residues
    assert not PROPERTIES["isoelectric_point"].of_residues


def test_a_goal_of_the_whole_protein_is_written_as_before_there_were_stretches():
    assert Goal().model_dump() == {"property": "gravy", "direction": "up"}
    of_stretch = Goal(property="predicted_helix", stretch=(2, 7))
    assert of_stretch.model_dump()["stretch"] == (2, 7)
    assert Goal.model_validate_json(of_stretch.model_dump_json()) == of_stretch
    assert of_stretch.title.endswith("residues 3 to 7")


@pytest.mark.parametrize(
    "wrong",
    [
        {"property": "dssp_helix"},
        {"property": "gravy", "stretch": (0, 3)},
        {"property": "predicted_helix", "stretch": (3, 3)},
        {"property": "predicted_helix", "stretch": (-1, 3)},
    ],
)
def test_impossible_goals_are_refused(wrong):
    with pytest.raises(ValidationError):
        Goal(**wrong)
