"""A prompt as tokens: special ones have no colour, residues count from 1."""

from neuronlab.figures import tokens
from neuronlab.figures.colours import DIVERGING
from neuronlab.figures.report import Part, report


def test_special_tokens_have_no_colour_and_set_no_scale():
    data = tokens.strip(
        ["<cls>", "M", "K", "<eos>"], [9.0, 1.0, -2.0, 5.0], "score", special=[0, 3]
    )
    assert data["limit"] == 2.0
    assert [token["value"] for token in data["tokens"]] == [None, 1.0, -2.0, None]


def test_the_first_token_of_a_text_sets_no_scale_and_the_key_tells_its_value():
    data = tokens.strip(["The", " cat", " is"], [-9.0, 1.0, -2.0], "score")
    assert data["limit"] == 2.0
    assert data["beyond"] == "The, score -9"
    assert f"background: {DIVERGING[0]}" in tokens.written(data)
    begun = tokens.strip(["<s>", "The", " cat"], [0.0, -9.0, 1.0], "score", special=[0])
    assert begun["limit"] == 9.0
    assert begun["beyond"] == ""
    assert tokens.strip(["M", "K"], [-9.0, 1.0], "score", residues=True)["limit"] == 9.0
    assert tokens.strip(["The"], [-9.0], "score")["limit"] == 9.0


def test_a_residue_far_beyond_the_others_sets_no_scale_and_is_named():
    letters, values = "MKTAYIAKQRQ" * 3, [*[-1.0] * 32, 27.4]
    data = tokens.strip([*letters, "<eos>"], [*values, 99.0], "score", special=[33], residues=True)
    assert (data["limit"], data["beyond"]) == (1.0, "Q33, score +27.4")


def test_residues_count_from_one_whatever_stands_before_them():
    letters = "MKTAYIAKQRQ"
    data = tokens.strip(["<cls>", *letters, "<eos>"], special=[0, 12], residues=True)
    words = [token["words"] for token in data["tokens"]]
    assert words[1:-1] == [f"residue {i} {letter}" for i, letter in enumerate(letters, start=1)]
    assert [t["number"] for t in data["tokens"] if t.get("number")] == ["1", "10"]


def test_residues_may_have_numbers_of_their_own():
    numbers = ["29", "30", "30.1", "31", "50"]
    data = tokens.strip(list("MKTAY"), residues=True, numbers=numbers)
    assert [token["number"] for token in data["tokens"]] == ["29", "30", "", "", "50"]
    assert [token["residue"] for token in data["tokens"]] == [1, 2, 3, 4, 5]


def test_residues_say_where_helices_and_strands_are():
    data = tokens.strip(
        ["<cls>", *"MKTA"], [0.0, 1, 2, 3, 4], "score", special=[0], residues=True, states="HGB-"
    )
    assert [token["state"] for token in data["tokens"]] == ["", "H", "H", "E", "-"]
    assert [token["residue"] for token in data["tokens"]] == [0, 1, 2, 3, 4]
    assert data["tokens"][2]["words"] == "residue 2 K: score +2, G 3₁₀-helix"
    assert [name for name, _ in data["states"].values()] == ["helix", "strand", "coil"]
    assert tokens.strip(["M"], residues=True)["states"] is None


def test_a_text_keeps_its_gaps_and_its_numbers():
    data = tokens.strip(["The", " cat", " ", "\n"], [0.5, -0.25, 0.0, 0.125], "score")
    assert [token["text"] for token in data["tokens"]] == ["The", "cat", "␣", "↵"]
    assert [token["space"] for token in data["tokens"]] == [False, True, True, False]
    assert data["tokens"][1]["below"] == "-0.25"
    assert data["tokens"][1]["words"] == "2: ␣cat: score -0.25"


def test_of_a_long_text_the_loud_tokens_have_their_numbers():
    data = tokens.strip(["a"] * 40, [0.4] * 38 + [-0.8, 1.0], "score")
    assert [token["below"] for token in data["tokens"]] == [""] * 38 + ["-0.80", "+1.00"]
    silent = tokens.strip(["a"] * 40, [0.0] * 40, "score")
    assert {token["below"] for token in silent["tokens"]} == {""}


def test_without_values_nothing_is_coloured():
    data = tokens.strip(["a", "b"])
    assert [token["value"] for token in data["tokens"]] == [None, None]
    assert data["limit"] == 1.0


def test_a_strip_stands_by_itself_in_a_report():
    data = tokens.strip(["<s>", " is<b>", " at"], [9.0, -0.5, 0.5], "score", special=[0])
    html = tokens.written(data)
    assert html.count("<span") == 3
    assert "<b>" not in html
    assert " is&lt;b&gt;</span>" in html
    assert "score -0.5" in html
    assert f"background: {DIVERGING[0]}" in html
    assert f"background: {DIVERGING[-1]}" in html
    page = report("A title", {}, [Part("The prompt", html=html)], {})
    assert html in page


def test_small_numbers_below_tokens_keep_a_digit():
    data = tokens.strip(list("abcd"), [0.5, 0.0004, -0.00003, -0.0], "score")
    written = [token["below"] for token in data["tokens"]]
    assert written == ["+0.50", "+0.0004", "-3e-05", "+0.00"]
