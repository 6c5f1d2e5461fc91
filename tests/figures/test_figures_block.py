"""The block with its numbers."""

from neuronlab.figures.block import Stage, block


def test_stages_are_in_order_and_text_is_text():
    html = block(
        [
            Stage("Tokens", "In <pieces>.", [("<b>", None), (" is", None)]),
            Stage("FFN", "Neurons.", [("3", 2.0), ("7", -1.0)], of=1536),
            Stage("Next", "Tokens.", [(" Paris", 0.771)], percent=True),
        ]
    )
    assert html.index("Tokens") < html.index("FFN") < html.index("Next")
    assert "In &lt;pieces&gt;." in html
    assert "<em>&lt;b&gt;</em>" in html
    assert "… of 1,536" in html
    assert "77%" in html
    assert "nl-against' style='--strength: 50%'" in html
    assert html.count("… of") == 1
    assert "prefers-reduced-motion" in html


def test_the_shares_of_a_line_have_one_form():
    html = block(
        [Stage("Next", "Tokens.", [("a", 0.771), ("b", 0.0093), ("c", 0.01)], percent=True)]
    )
    assert all(share in html for share in ("77.1%", "0.9%", "1.0%"))
    html = block([Stage("Next", "Tokens.", [("a", 0.5), ("b", 0.0003)], percent=True)])
    assert all(share in html for share in ("50.00%", "0.03%"))
