"""The studies there are, and what each says of itself."""

import sys
from pathlib import Path

import pytest

from neuronlab import studies
from neuronlab.studies import STUDIES

TOY = """
from neuronlab.runs import Result, Spec, Study

class ToySpec(Spec):
    study = "toy"

class ToyStudy(Study):
    name = "toy"
    title = "A toy"
    spec_type = ToySpec

    def default(self):
        return ToySpec()

    def run_shard(self, spec, shard, context):
        return Result()
"""


def test_every_file_defines_the_study_of_its_name():
    files = {file.stem for file in Path(studies.__file__).parent.glob("*.py")}
    assert files - {"__init__", "examples"} == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_the_spec_names_the_study(name):
    study = STUDIES[name]
    assert study.name == study.spec_type.study == study.default().study == name
    assert study.title


def test_a_file_is_enough(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "neuronlab.studies.toy", raising=False)
    defined = {study.name: study for study in studies._defined()}
    assert defined.keys() - STUDIES.keys() == {"toy"}
    assert defined["toy"].title == "A toy"
    del sys.modules["neuronlab.studies.toy"]
