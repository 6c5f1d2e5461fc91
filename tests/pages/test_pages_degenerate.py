"""The page of backup neurons."""

import re

import pytest

from neuronlab.studies.degenerate_pairs import published


@pytest.fixture
def page(visit, results):
    return visit("degenerate")


def test_it_opens_on_a_finished_example(page, results):
    assert page.errors() == []
    numbers = page.result(results).numbers
    assert page.says(f"keeps **{len(numbers['pairs'])} of 190 pairs**")
    for null in ("random", "as_active"):
        assert page.says(f"{numbers[f'{null}_pairs']['mean']:.1f} ±")
    stronger = max(("random", "as_active"), key=lambda null: numbers[f"{null}_pairs"]["mean"])
    assert page.says(f"p = {numbers[f'{stronger}_pairs']['p']:.2g}, 20 sets")
    assert len(page.at.dataframe(key="pairs").value) == len(numbers["pairs"])


def test_thresholds_are_live(page, results):
    result = page.result(results)
    table, p0 = result.tables["all_pairs"], result.numbers["p0"]
    key = page.query("run")
    for low, high in ((0.5, 0.05), (0.3, 0.3), (0.0, 0.9)):
        page.at.slider(key="t_low").set_value(low)
        page.at.slider(key="t_high").set_value(high)
        page.run()
        assert page.errors() == []
        kept = published(table, p0, low, high)
        assert page.says(f"keeps **{len(kept)} of 190 pairs**")
        assert page.says("No pair at these thresholds") == kept.empty
    page.at.slider(key="t_low").set_value(0.5)
    page.at.slider(key="t_high").set_value(0.05)
    page.at.slider(key="synergy").set_value(0.95)
    page.run()
    kept = published(table, p0, 0.5, 0.05)
    kept = kept[kept["synergy"] <= 0.95]
    if len(kept):
        assert len(page.at.dataframe(key="pairs").value) == len(kept)
        page.press("add_pairs")
        assert not page.basket().startswith("Basket: 0 ")
    assert page.query("run") == key


@pytest.mark.slow
def test_another_prompt(page, results):
    page.at.slider(key="pair_candidates_20").set_value(6)
    page.prompt("The opposite of hot is")
    page.press("run")
    assert page.errors() == []
    result = page.result(results)
    assert result.numbers["target_label"] == " cold"
    assert len(result.tables["all_pairs"]) == 15


def test_an_empty_prompt_gets_one_sentence(page):
    page.prompt("")
    page.one_error("The prompt is empty")
    assert page.at.button(key="run").disabled


@pytest.fixture
def checking(page):
    page.at.button_group(key="view").set_value("fact_checking")
    page.run()
    return page


def test_fact_checking_opens_on_a_finished_example(checking, results):
    page = checking
    assert page.errors() == []
    result = page.result(results)
    scorers = result.tables["scorers"].set_index("scorer")
    for kind, title in (("degenerate", "Degenerate"), ("knowledge", "All knowledge")):
        row = scorers.loc[kind]
        assert page.says(f"**{title} neurons**, judging one candidate: F1 **{row['f1']:.2f}**")
        assert page.says(f"Forced choice: **{row['accuracy']:.0%}** right")
    charts = page.charts()
    assert {
        "chart_checking_f1",
        "chart_checking_choice",
        "chart_roc",
        "chart_precision_recall",
    } <= charts
    assert page.says(f"{result.numbers['facts']['test']} were tested")
    assert page.says("What they do not tell apart, more facts may")
    # The box that people come for is above the form and the result.
    assert page.at.text_input[0].label == "Claim, up to its answer"
    texts = [element.value for element in page.at.markdown]
    assert texts.index("## Check a claim") < texts.index(
        next(text for text in texts if "judging one candidate" in text)
    )


def live_table(page):
    return next(d.value for d in page.at.dataframe if "" in d.value)


def test_its_threshold_is_live_and_begins_at_the_training_parts(checking, results):
    page = checking
    key = page.query("run")
    result = page.result(results)
    page.section("Threshold")
    page.at.selectbox(key="checking_scorer").set_value("knowledge")
    page.run()
    live = live_table(page)
    scorers = result.tables["scorers"].set_index("scorer")
    assert live["f1"].tolist()[1] == pytest.approx(scorers.loc["knowledge", "f1"], abs=0.02)
    slider = next(s for s in page.at.slider if s.key.startswith("checking_lambda_knowledge"))
    slider.set_value(slider.min)
    page.run()
    assert page.errors() == []
    live = live_table(page)  # everything is called true
    assert live["recall"].tolist() == pytest.approx([1, 1])
    assert live["f1"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert page.query("run") == key


def test_a_relations_neurons_go_into_the_basket(checking, results):
    page = checking
    table = page.result(results).tables["neurons"]
    page.section("Neurons")
    relation, kind = table.iloc[0][["relation", "kind"]]
    rows = table[(table["relation"] == relation) & (table["kind"] == kind)]
    assert len(page.at.dataframe(key="checking_neurons").value) == len(rows)


@pytest.mark.slow  # half a minute of facts; the study's own tests have a person's facts, too
def test_fact_checking_facts_of_ones_own(checking, results):
    page = checking
    page.at.selectbox(key="facts_set_fact_checking").set_value("own")
    page.run()
    cities = ("France,Paris", "Italy,Rome", "Japan,Tokyo", "Spain,Madrid", "Russia,Moscow")
    rows = "prompt,answer,relation\n" + "".join(
        f"The capital of {land} is,{city},capital\n"
        for land, city in (c.split(",") for c in cities)
    )
    page.at.file_uploader(key="facts_files_False").upload("mine.csv", rows.encode(), "text/csv")
    page.run()
    page.press("run")
    assert page.errors() == []
    numbers = page.result(results).numbers
    assert numbers["facts"] == {"train": 4, "test": 1}
    assert numbers["always_true"]["f1"] == pytest.approx(2 / 3)


def test_fact_checking_needs_a_language_model(visit, results):
    app = visit("degenerate", view="fact_checking")
    app.choose_model("antiberty")
    assert app.errors() == []
    assert app.says("choose a language model")


def field(app, label):
    return next(w for w in app.at.text_input if w.label.startswith(label))


def test_a_claim_is_judged_by_neurons_and_by_the_probability(checking, results):
    app = checking
    table = app.result(results).tables["candidates"]
    claim = field(app, "Claim").value
    facts = table[table["test"] & (table["prompt"] == claim)]
    wrong, true = facts.sort_values("true")["candidate"].str.strip()
    # It begins with a false claim.
    assert (field(app, "Answer").value, field(app, "Alternatives").value) == (wrong, true)
    for claimed, other in ((wrong, true), (true, wrong)):
        field(app, "Answer").set_value(claimed)
        field(app, "Alternatives").set_value(other)
        next(b for b in app.at.button if b.label == "Check").click()
        app.settle()
        assert app.errors() == []
        (verdict,) = (text for text in app.texts() if text.startswith(f"**{claimed}**"))
        for column, words in (
            ("degenerate", "Degenerate neurons"),
            ("knowledge", "All knowledge neurons"),
            ("probability", "The model's own probability"),
        ):
            score = facts.sort_values("true")[column].tolist()
            says = "true" if (score[1] > score[0]) == (claimed == true) else "false"
            line = next(line for line in verdict.splitlines() if words in line)
            assert f"**{says}**" in line
        (count,) = set(re.findall(r"of (\d+) held-out facts", verdict))
        assert ("of the kind, which are few." in verdict) == (int(count) < 10)


def test_a_claim_without_alternatives_is_refused(checking):
    app = checking
    field(app, "Alternatives").set_value("")
    next(b for b in app.at.button if b.label == "Check").click()
    app.settle()
    app.one_error("at least one alternative")
