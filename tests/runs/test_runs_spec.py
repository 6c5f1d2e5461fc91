import json
from typing import ClassVar

import pydantic
import pytest
from runs_toys import ToySpec

from neuronlab.runs import Spec, read_spec

SPECS = {"toy": ToySpec}
EXPECTED = "f74e656fd0e692d0"


@pytest.mark.long
def test_key_is_the_same_in_every_process(process, tmp_path):
    # Different hash seeds give sets a different order.
    children = [process("key", tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    keys = [child.communicate(timeout=20)[0].strip() for child in children]
    assert [ToySpec().key, *keys] == [EXPECTED] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"text": "hullo"},
        {"tags": frozenset({"a", "b"})},
        {"weights": (0.5, 1.0)},
        {"parts": 2},
    ],
)
def test_any_field_changes_the_key(change):
    assert ToySpec(**change).key != ToySpec().key


def test_version_and_study_change_the_key():
    class Newer(ToySpec):
        version: ClassVar[int] = 2

    class Other(ToySpec):
        study: ClassVar[str] = "other"

    assert len({ToySpec().key, Newer().key, Other().key}) == 3


def test_order_of_fields_does_not_change_the_key():
    class Reordered(Spec):
        study: ClassVar[str] = "toy"
        parts: int = 1
        weights: tuple[float, ...] = (1.0, 0.5)
        tags: frozenset[str] = frozenset({"c", "b", "a"})
        text: str = "hello"

    assert Reordered().key == EXPECTED


def test_subclass_in_a_field_keeps_its_own_fields():
    class Inner(pydantic.BaseModel):
        a: int = 1

    class Detailed(Inner):
        b: int = 1

    class Outer(Spec):
        study: ClassVar[str] = "outer"
        inner: Inner

    assert Outer(inner=Detailed(b=1)).key != Outer(inner=Detailed(b=2)).key


@pytest.mark.filterwarnings("ignore:Field name")
def test_specs_are_frozen_strict_and_guard_their_names():
    with pytest.raises(pydantic.ValidationError):
        ToySpec().text = "other"
    with pytest.raises(pydantic.ValidationError):
        ToySpec(unknown=1)
    with pytest.raises(TypeError, match="reserved"):

        class Clash(Spec):
            study: ClassVar[str] = "clash"
            version: int = 3


def test_round_trip(tmp_path):
    spec = ToySpec(text="ß\n", weights=(0.1,))
    spec.save(tmp_path / "spec.json")
    text = (tmp_path / "spec.json").read_text(encoding="utf-8")
    assert json.loads(text)["study"] == "toy"
    assert json.loads(text)["version"] == 1
    assert read_spec(text, SPECS) == spec


def test_a_spec_written_by_hand_needs_only_its_study():
    assert read_spec('{"study": "toy", "parts": 3}', SPECS) == ToySpec(parts=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"study": "none"}', "'none', but the known studies are: toy"),
        ('{"study": ["toy"]}', "known studies"),
        ('{"study": "toy", "version": 2}', "version 2"),
        ('{"study": "toy", "parts": "x", "more": 1}', r"parts: .*; more: "),
    ],
)
def test_wrong_specs_give_one_sentence(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_spec(text, SPECS)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
