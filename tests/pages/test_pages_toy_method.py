"""The attribution page offers a method that one file adds."""

from neuronlab.attribution import METHODS


def test_the_form_offers_it_and_the_page_runs_it(visit, toy_method):
    app = visit("attribution")
    offered = app.widget("selectbox", "method")
    assert offered.options == [method.title for method in METHODS.values()]
    assert offered.options[-1] == "Toy method"
    assert "**Toy method**: Twice the activation." in offered.help
    app.set("selectbox", "method", "toy")
    app.press("run")
    assert app.errors() == []
    assert any("method='toy'" in code for code in app.texts_of_code())
