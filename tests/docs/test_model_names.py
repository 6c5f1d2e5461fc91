"""The guide's table of models that people have heard of, against the types that there are."""

import re
from pathlib import Path

from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from neuronlab.models.families import FAMILIES

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
TYPES = {model_type for family in FAMILIES for model_type in family.model_types}
# As files and transformers name what is built there with another name; a file of Mistral's says
# that it is a Llama.
IN_FILES = {"gemma3_text": "gemma3"}
AS_LLAMA = {"mistral"}
# Files are converted as models that predict the next token of a text.
ENCODER_DECODERS = {"t5", "umt5"}


def table():
    """By type: the models, and whether their GGUF files open."""
    rows = re.findall(
        r"^\| (`.+?) \| (.+?) \| (yes|no) \|$", GUIDE.read_text("utf-8"), re.MULTILINE
    )
    return [(each, models, files) for types, models, files in rows for each in types.split(", ")]


def test_every_type_of_the_table_is_there_once():
    types = [name.strip("`") for name, _, _ in table()]
    assert set(types) <= TYPES
    assert len(types) == len(set(types)) > 40


def test_gguf_files_of_a_type_open_where_transformers_reads_them():
    told = {name.strip("`"): files == "yes" for name, _, files in table()}
    opened = {t for t in TYPES if IN_FILES.get(t, t) in GGUF_SUPPORTED_ARCHITECTURES}
    opened -= AS_LLAMA | ENCODER_DECODERS
    assert {name for name, yes in told.items() if yes} == opened
