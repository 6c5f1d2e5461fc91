"""What the sidebar says of a model of one's own, before it is loaded."""

import json


def test_of_an_adapter_the_sidebar_says_what_it_is_merged_into(visit, tmp_path):
    (tmp_path / "mine").mkdir()
    settings = {"peft_type": "LORA", "base_model_name_or_path": "/somewhere/small-base"}
    (tmp_path / "mine" / "adapter_config.json").write_text(json.dumps(settings))
    page = visit("models", model=str(tmp_path / "mine"))
    assert not page.errors()
    (about,) = [text for text in page.texts() if "a folder of this machine" in text]
    assert about.replace("\\", "").endswith("Its adapter is merged into 'small-base'.")
