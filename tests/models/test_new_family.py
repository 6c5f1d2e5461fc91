"""A new family is one file of ``families`` and one row of the tests' table."""

import ast
import sys
from pathlib import Path

import pytest
import test_families
import tiny_models
from tiny_models import Row

import neuronlab as nl
from neuronlab.models import families
from neuronlab.models.catalogue import CATALOGUE

FILE = '''"""VaultGemma: like Gemma 2, but what attention and FFN put out is not normed."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.gemma import GEMMA2_PLACES

VAULT_GEMMA = Family(
    name="vaultgemma",
    title="VaultGemma",
    model_types=("vaultgemma",),
    less_one=True,
    places=replace(GEMMA2_PLACES, branch_norms=("", "")),
)
'''
ROW = Row(
    tiny_models._COMMON
    | tiny_models._GROUPED
    | tiny_models._WINDOWS
    | {"final_logit_softcapping": 5.0, "attn_logit_softcapping": 2.0}
)
# Those that ask nothing but a model, a prompt that fits it, and the layout of the checkpoint.
CHECKS = [
    test_families.test_writing_back_what_was_read_changes_no_bit,
    test_families.test_an_edit_of_any_single_neuron_group_reaches_the_logits,
    test_families.test_a_residual_unit_is_a_dimension_of_a_layers_output,
    test_families.test_ffn_neurons_are_what_the_down_projection_adds_up,
    test_families.test_the_predicted_position_is_read_from_the_right_token,
    test_families.test_the_final_norm_maps_the_residual_stream_to_the_normed_state,
]
CHECKS_OF_LAYOUT = [
    test_families.test_projections_agree_with_the_weights,
    test_families.test_sites_agree_with_the_layout_of_the_checkpoint,
    test_families.test_hidden_and_head_give_the_logits_of_transformers,
]


@pytest.fixture(params=ROW.heads)
def toy(request, tmp_path, monkeypatch):
    """A tiny model of the new family, which is there from its file and its row alone."""
    (tmp_path / "vaultgemma.py").write_text(FILE)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    monkeypatch.setattr(families, "FAMILIES", tuple(families.defined()))
    monkeypatch.setitem(tiny_models.ROWS, "vaultgemma", ROW)
    yield tiny_models.build("vaultgemma", request.param, tmp_path)
    del sys.modules["neuronlab.models.families.vaultgemma"]


def test_its_adapter_is_checked_like_any_other(toy, asked, oracle):
    for check in CHECKS:
        check(toy, asked)
    for check in CHECKS_OF_LAYOUT:
        check(toy, asked, oracle)
    for component in ("query", "key", "value"):
        test_families.test_suppressing_one_head_does_to_attention_what_theory_says(
            toy, asked, component
        )


def test_it_is_loaded_and_explained_like_any_other(toy, asked, tmp_path):
    toy.hf.save_pretrained(tmp_path / "saved")
    toy.tokenizer.save_pretrained(tmp_path / "saved")
    model = nl.load(str(tmp_path / "saved"), device="cpu")
    assert (model.family.title, model.kind, model.layers) == ("VaultGemma", toy.kind, 3)
    target = 1 if model.kind == "classifier" else "France"
    scores = nl.attribute(model, asked(model, target), method="integrated_gradients")
    chosen = scores.select(top=10)
    before = nl.predict(model, asked(model, target))
    after = nl.predict(model, asked(model, target), intervention=nl.Suppress(chosen))
    assert after.probability != pytest.approx(before.probability, rel=1e-3)
    assert scores.provenance["model"]
    with pytest.raises(nl.UserError) as refused:
        families.family_of("prophetnet")
    assert "vaultgemma" in refused.value.details


@pytest.mark.long
def test_nothing_else_asks_for_a_family_or_a_model_by_name():
    root = Path(families.__file__).parents[3]
    names = {known.name for known in CATALOGUE}
    for family in families.FAMILIES:
        names |= {family.name, family.title, *family.model_types}
    asked = []
    for path in (*root.glob("neuronlab/**/*.py"), *root.glob("pages/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            if isinstance(node, ast.Compare) and names & texts:
                asked.append(path.relative_to(root).as_posix())
            if isinstance(node, ast.Attribute) and node.attr == "model_type":
                asked.append(path.relative_to(root).as_posix())
    # Which adapter it is, of files and of what is in memory.
    assert sorted(asked) == ["neuronlab/models/in_memory.py", "neuronlab/models/loading.py"]


def test_without_its_file_it_is_not_supported(sentence):
    sentence(families.family_of, "vaultgemma", says=["'vaultgemma'", "not supported"])
