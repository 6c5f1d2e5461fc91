"""The view of labels along the chain, on some chains and ESM-2 8M."""

import json

import pytest

from neuronlab.labels.residues import CONCEPTS
from neuronlab.neurons import Neuron
from neuronlab.studies.residue_labels import FOLLOWS

MODEL = "esm2-8m"


@pytest.fixture
def page(visit, results):
    page = visit("labels", model=MODEL, view="residue_labels")
    assert page.errors() == []
    return page


def test_neurons_are_listed_with_their_control_and_a_card(page, results):
    spec, result = page.stored(results)
    assert (spec["study"], spec["model"]) == ("residue_labels", MODEL)
    table = result.tables["labels"]
    follow = table[table["correlation"] >= FOLLOWS].sort_values("correlation", ascending=False)
    assert page.says(f"{len(follow)} of {len(table):,}** neurons follow their label")
    assert result.numbers["control_following"] == 0
    assert page.says("shifted states **0** do")
    assert page.says("Correlations are residue by residue")
    judged = result.numbers["judged"]
    assert page.says(f"“judged” on the {judged:,} others")
    assert page.says("A sample, so that it is there at once")
    rows = page.at.dataframe(key="residue_rows")
    assert json.loads(rows.proto.columns)["control_correlation"]["label"] == "control"
    listed = rows.value
    assert listed["correlation"].tolist() == follow["correlation"].tolist()
    best = follow.iloc[0]
    assert page.says(f"Neuron {best['layer']} / FFN / {best['neuron']}")
    assert page.says(f"## {best['label']}")
    (of_card,) = [d.value for d in page.at.dataframe if list(d.value)[-1] == "shifted"
                  and len(list(d.value)) == 4]  # fmt: skip
    assert of_card["concept"].tolist() == list(CONCEPTS)
    at = CONCEPTS.index(best["concept"])
    assert abs(of_card["judged"][at]) == pytest.approx(best["correlation"], abs=1e-3)
    chains = result.tables["proteins"].query("side == 'judged'")["name"].tolist()
    assert page.at.selectbox(key="label_painted").options == chains[:6]


def test_concept_layer_and_correlation_narrow_the_list(page, results):
    table = page.result(results).tables["labels"]
    page.at.slider(key="residue_least").set_value(0.2)
    page.at.selectbox(key="residue_concept").set_value("strand")
    page.at.selectbox(key="residue_layer").set_value(4)
    page.run()
    assert page.errors() == []
    expected = table[(table["correlation"] >= 0.2) & (table["concept"] == "strand")]
    expected = expected[expected["layer"] == 4].sort_values("correlation", ascending=False)
    listed = page.at.dataframe(key="residue_rows").value
    assert listed["neuron"].tolist() == expected["neuron"].tolist() != []
    second = expected.iloc[1]
    page.at.session_state["neurons"] = {page.query("run"): Neuron(4, "ffn", int(second["neuron"]))}
    page.run()
    assert page.says(f"Neuron 4 / FFN / {second['neuron']}")
    page.at.slider(key="residue_least").set_value(0.6)
    page.run()
    assert page.says("No neuron does")


def test_nothing_is_run_without_neurons_and_a_model_of_antibodies_is_not_asked(page, visit):
    page.at.pills(key="residue_components").set_value([])
    page.run()
    page.one_error("at least one component")
    assert page.at.button(key="run").disabled
    other = visit("labels", model="antiberty", view="residue_labels")
    assert other.says("is no model of proteins of every kind")
    assert "use_esm2-8m" in [button.key for button in other.at.button]
    assert "use_antiberty" not in [button.key for button in other.at.button]
