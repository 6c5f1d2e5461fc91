"""Sections of a page: the chosen one is drawn alone, and a report has them all."""

TITLES = ("value_layers", "query_layers", "overlap", "heads_own")


def drawn(page):
    return {element.key for element in page.at.get("plotly_chart")}


def test_the_section_that_the_address_names_is_drawn_alone(visit, results):
    page = visit("knowledge_types", section="waking-layers")
    assert page.errors() == []
    assert drawn(page) == {"chart_kinds_query_layers"}
    page.section("Shared neurons")
    assert drawn(page) == {"chart_kinds_overlap"}
    assert page.query("section") == "shared-neurons"


def test_an_address_that_names_no_section_opens_the_first(visit, results):
    page = visit("knowledge_types", section="<b>")
    assert page.errors() == []
    assert drawn(page) == {"chart_kinds_value_layers"}
    assert page.query("section") == "writing-layers"


def test_a_report_has_what_is_not_drawn(visit, results):
    page = visit("knowledge_types", section="waking-layers")
    assert set(page.at.session_state["reported"]) == {"headline", "kinds_query_layers"}
    page.at.session_state["report"] = True
    page.run()
    assert page.errors() == []
    assert drawn(page) == {"chart_kinds_query_layers"}
    reported = page.at.session_state["reported"]
    assert list(reported)[:4] == ["headline", *(f"kinds_{name}" for name in TITLES[:3])]
    assert f"kinds_{TITLES[3]}" in reported
    assert all(reported[f"kinds_{name}"].figure().data for name in TITLES)


def test_a_view_is_chosen_by_its_address(visit, results):
    page = visit("knowledge_types", view="stability")
    assert page.errors() == []
    assert drawn(page) == {"chart_stability"}
