"""The programs that predict a protein's structure from its sequence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from neuronlab.errors import UserError
from neuronlab.models import weights
from neuronlab.models.catalogue import TOOLS, title_of
from neuronlab.models.exclusion import computing, making
from neuronlab.proteins.antibodies import variable_domain

if TYPE_CHECKING:
    import torch

ESMFOLD = "facebook/esmfold_v1"
ESMFOLD_BYTES = 10_000_000_000  # the weights, and what a forward pass needs
ESMFOLD_LIMIT = 600  # residues; time and memory grow with their cube
# Between two chains, as ESMFold's authors joined them: residues that are folded and then dropped.
LINKER, CHAIN_GAP = "G" * 25, 512
_TOOLS = {tool.name: tool for tool in TOOLS}


@dataclass(frozen=True)
class Atoms:
    """What a predictor gives: the names of each residue's atoms ("" for none), and where they are.

    Attributes:
        positions: in angstrom.
        confidence: 0 to 100.
        ids: of the chains.
    """

    names: Sequence[Sequence[str]]
    positions: Float[np.ndarray, "residue atom 3"]
    confidence: Float[np.ndarray, " residue"]
    ids: str = "HL"


@dataclass(frozen=True)
class Predictor:
    """A way to predict structures.

    Attributes:
        fits: whether it knows such proteins, given the sequence and an antibody's light chain
            (or nothing): nothing, or one sentence that says why not.
        available: whether it can run on this machine now: nothing, or one sentence.
        predict: the atoms of checked sequences on a device.
    """

    name: str
    title: str
    what: str
    licence: str
    fits: Callable[[str, str], str]
    available: Callable[[], str]
    predict: Callable[[str, str, str], Atoms]


def _antibodies_only(title: str) -> Callable[[str, str], str]:
    def fits(sequence: str, light: str) -> str:
        if light and variable_domain(sequence) == "light" and variable_domain(light) == "heavy":
            return "The two chains look swapped: give the heavy chain first, then the light one."
        for name, chain in (("heavy", sequence), ("light", light)):
            if chain and not variable_domain(chain):
                which = f"The {name} chain" if light else "This protein"
                return (
                    f"{which} does not look like an antibody's variable domain (some 100 to 130 "
                    f"residues), and {title} knows nothing else: give such a domain alone, or use "
                    "another predictor."
                )
        return ""

    return fits


def _fetched(tool: str) -> Callable[[], str]:
    def available() -> str:
        for name in filter(None, (tool, _TOOLS[tool].reads)):
            if not weights.installed(name):
                return f"{title_of(name)} is not on this machine yet: fetch it first."
            if problem := weights.check(name):
                return problem
        return ""

    return available


def _flash_abb(sequence: str, light: str, device: str) -> Atoms:
    import torch
    from flash_abb.model.flash_abb import featurize

    names = _atom14("flash_abb.model.openfold.np.residue_constants")
    # A light chain in the place of the heavy one comes out wrong by 9 angstrom.
    alone = not light and variable_domain(sequence) == "light"
    features = featurize([f"|{sequence}" if alone else f"{sequence}|{light}"], device)
    model = _flash_abb_model(device)
    with computing(), torch.no_grad():
        output = model(
            {"single": features["single"]},
            features["aatype"],
            features["res_idx"],
            features["mask"],
        )
    # Bins of equal width from 0 to 100: a bin's middle is 2 bin + 1.
    bins = output["plddt"][0].float().softmax(-1)
    middles = 2 * torch.arange(bins.shape[-1], device=bins.device, dtype=bins.dtype) + 1
    return Atoms(
        [names[letter] for letter in sequence + light],
        output["positions"][-1, 0].float().numpy(force=True),
        (bins * middles).sum(-1).numpy(force=True),
        ids="L" if alone else "HL",
    )


@cache
def _flash_abb_model(device: str) -> torch.nn.Module:
    import json

    from flash_abb.model import dlc
    from flash_abb.model.flash_abb import FlashABB
    from safetensors.torch import load_file

    folder = weights.ready("flash-abb")
    with making():
        model = FlashABB(json.loads((folder / "config.json").read_text("utf-8")))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        # As the package does unless told otherwise.
        dlc.install(model.model, mode_flag={"value": "on"})
    return model.model.to(device).eval().requires_grad_(False)


def _fits_esmfold(sequence: str, light: str) -> str:
    if len(sequence + light) > ESMFOLD_LIMIT:
        return f"ESMFold takes at most {ESMFOLD_LIMIT} residues here: fold a domain of the protein."
    return ""


def _esmfold_source() -> str:
    local = weights.folder(ESMFOLD)
    return str(local) if (local / "config.json").is_file() else ESMFOLD


def _esmfold_available() -> str:
    from huggingface_hub import try_to_load_from_cache

    from neuronlab.models.hub import hub_reachable

    if _esmfold_source() != ESMFOLD:
        return ""
    if isinstance(try_to_load_from_cache(ESMFOLD, "config.json"), str) or hub_reachable():
        return ""
    return (
        f"The model hub is out of reach, and ESMFold is not on this machine: put the folder of "
        f"{ESMFOLD} at {weights.folder(ESMFOLD)}, or try again with the hub."
    )


def _esmfold(sequence: str, light: str, device: str) -> Atoms:
    import torch

    names = _atom14("transformers.models.esm.openfold_utils.residue_constants")
    gap = len(LINKER) if light else 0
    joined = sequence + (LINKER + light if light else "")
    places = torch.arange(len(joined), device=device, dtype=torch.long)
    places[len(sequence) :] += CHAIN_GAP if light else 0
    model = _esmfold_model(_esmfold_source(), device)
    with computing(), torch.no_grad():
        output = model.infer(joined, position_ids=places)
    kept = np.r_[: len(sequence), len(sequence) + gap : len(joined)]
    return Atoms(
        [names[letter] for letter in sequence + light],
        output["positions"][-1, 0].float().numpy(force=True)[kept],
        100 * output["plddt"][0, :, 1].float().numpy(force=True)[kept],
        ids="HL" if light else "A",
    )


@cache
def _esmfold_model(source: str, device: str) -> Any:
    from transformers import EsmForProteinFolding

    from neuronlab.models.device import free_memory
    from neuronlab.models.hub import hub_reachable

    if source == ESMFOLD and free_memory(device) < ESMFOLD_BYTES:
        raise UserError(
            f"ESMFold needs {ESMFOLD_BYTES / 1e9:.0f} GB of memory and {device} has "
            f"{free_memory(device) / 1e9:.1f} GB free: choose another predictor."
        )
    model: Any
    try:
        local = source != ESMFOLD or not hub_reachable()
        with making():
            model = EsmForProteinFolding.from_pretrained(
                source, local_files_only=local, weights_only=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"ESMFold cannot be loaded from {source}: check the connection, or the folder's files.",
            details=f"{type(error).__name__}: {error}",
        ) from error
    return model.to(device).eval().requires_grad_(False)


def _igfold(sequence: str, light: str, device: str) -> Atoms:
    import torch

    folding, antiberty, models = _igfold_models(device)
    chains = {"H": sequence} | ({"L": light} if light else {})
    # Refined by gradient steps on bond lengths and clashes: it switches gradients on by itself.
    with computing(), torch.no_grad():
        output = folding.predict_structures(antiberty, models, [chains])[0]
    # Its own confidence is an error in angstrom, for each of four backbone atoms; made a score of
    # 0 to 100 as 1 / (1 + (error / 3)^2).
    error = output.prmsd[0].square().mean(-1).sqrt().numpy(force=True)
    return Atoms(
        [("N", "CA", "C", "" if letter == "G" else "CB", "O") for letter in sequence + light],
        output.coords[0].numpy(force=True),
        100 / (1 + (error / 3) ** 2),
    )


@cache
def _igfold_models(device: str) -> tuple[Any, Any, list[Any]]:
    from transformers import logging

    folder = weights.ready("igfold")
    # Code is run from here: not only sizes, all hashes.
    if problem := weights.check("igfold", deep=True):
        raise UserError(problem)
    written, level = sys.dont_write_bytecode, logging.get_verbosity()
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        from antiberty import AntiBERTyRunner
        from igfold.utils import checkpoint, folding
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
    paths = sorted((folder / "igfold/trained_models/IgFold").glob("*.safetensors"))
    with making():
        try:
            # The heads that our AntiBERTy lacks are drawn at random, and never used here.
            logging.set_verbosity_error()
            antiberty = AntiBERTyRunner(device, str(weights.ready(_TOOLS["igfold"].reads)))
        finally:
            logging.set_verbosity(level)
        models = [checkpoint.load_model(str(path), device) for path in paths]
    return folding, antiberty, models


PREDICTORS: dict[str, Predictor] = {
    predictor.name: predictor
    for predictor in (
        Predictor(
            "flash-abb",
            "FlashABB",
            "Antibody variable domains, all atoms, under a second; give both chains: the end of a "
            "heavy chain that has none beside it may come out unfolded.",
            "BSD-3-Clause",
            _antibodies_only("FlashABB"),
            _fetched("flash-abb"),
            _flash_abb,
        ),
        Predictor(
            "esmfold",
            "ESMFold",
            "Any protein, all atoms; needs the model hub once, 8 GB of weights and patience.",
            "MIT",
            _fits_esmfold,
            _esmfold_available,
            _esmfold,
        ),
        Predictor(
            "igfold",
            "IgFold",
            "Antibody variable domains, backbone only; some seconds.",
            f"non-commercial use only ({_TOOLS['igfold'].licence_url})",
            _antibodies_only("IgFold"),
            _fetched("igfold"),
            _igfold,
        ),
    )
}


@cache
def _atom14(module: str) -> dict[str, list[str]]:
    """The names of the atoms of each residue in the order of OpenFold's 14."""
    from importlib import import_module

    constants = import_module(module)
    return {
        letter: constants.restype_name_to_atom14_names[name]
        for letter, name in constants.restype_1to3.items()
    }
