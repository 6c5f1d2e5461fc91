"""Specs as files and pages bring them: every field of every study, with what does not belong there.

Each ends as a spec, whose key is computed, or in one sentence; nothing else comes out.
"""

import json

import pytest

from neuronlab.errors import UserError
from neuronlab.runs import read_spec
from neuronlab.studies import STUDIES

SPECS = {name: study.spec_type for name, study in STUDIES.items()}
STRANGE = [
    *(None, True, -1, 0, 1.5, 10**30, 1e308, float("nan"), float("inf")),
    *("", "x", "nan", "\ud800", "\0", "\n", "../..", "x" * 10_000),
    *([], ["x"], [[1]], [None], {}, {"a": 1}, {"a": {"b": [1]}}),
]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("study", STUDIES)
def test_every_field_with_what_does_not_belong_there(study):
    start = json.loads(STUDIES[study].default().to_json())
    del start["version"]
    refusals = []
    for field in SPECS[study].model_fields:
        for strange in STRANGE:
            text = json.dumps({**start, field: strange})
            try:
                spec = read_spec(text, SPECS)
            except (ValueError, UserError) as error:
                refusals.append(str(error))
            else:
                assert read_spec(spec.to_json(), SPECS).key == spec.key, (field, strange)
    assert len(refusals) > 5 * len(SPECS[study].model_fields)
    assert [text for text in refusals if not text or "\n" in text] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[", "not JSON"),
        ("\ud800", "not JSON"),
        ('{"study": ' + "[" * 100_000, "not JSON"),
        ("null", "not a JSON object"),
        ("3", "not a JSON object"),
        ('["attribution"]', "not a JSON object"),
        ("{}", "study"),
        ('{"study": ["attribution"]}', "study"),
        ('{"study": "nope"}', "known studies"),
        ('{"study": "attribution", "version": "x"}', "version"),
        ('{"study": "attribution", "version": 99}', "version"),
        ('{"study": "attribution", "model": "m"}', "text"),
        ('{"study": "attribution", "model": "m", "text": "t", "colour": 1}', "colour"),
        (
            '{"study": "attribution", "model": "m", "text": "t", "tolerance": 1e400}',
            "JSON|tolerance",
        ),
    ],
)
def test_texts_that_are_no_spec(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        read_spec(text, SPECS)
    assert "\n" not in str(caught.value)
