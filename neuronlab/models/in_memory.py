"""A transformers model that is already in memory, looked into and left as it is."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import torch
from torch import nn

from neuronlab.errors import UserError
from neuronlab.models.device import resolve_device
from neuronlab.models.exclusion import making
from neuronlab.models.families import check, family_of
from neuronlab.models.kinds import alphabet_of, kind_of, tried
from neuronlab.models.model import Model


def adopt(hf: Any, tokenizer: Any = None, *, device: str = "auto", dtype: str = "auto") -> Model:
    """Look into a model that somebody has loaded, which stays as it is.

    The modules are copied and the weights are shared: no second copy of these is made, unless
    they are to be on another device, and but for those that an adapter of peft is merged into.
    Hooks that hang on the original are not on the copy.

    Args:
        hf: a transformers model with a head, also compiled or within one of peft, or a pipeline.
        tokenizer: its tokenizer; of a pipeline, one to take in place of its own.
        device: "auto" is where the weights are.
        dtype: "auto" is what the weights are; nothing else is to be had.

    Raises:
        UserError: no head, a type that is not supported, weights that are quantised, on several
            devices or of another type than is asked for, an adapter that cannot be merged, or no
            tokenizer.
    """
    if hasattr(hf, "model") and not isinstance(hf, nn.Module):  # a pipeline
        tokenizer = getattr(hf, "tokenizer", None) if tokenizer is None else tokenizer
        hf = hf.model
    hf = getattr(hf, "_orig_mod", hf)  # what torch.compile was given, on the same weights
    name = type(hf).__name__
    if isinstance(tokenizer, nn.Module):
        raise TypeError("Model and tokenizer have changed places: nl.load(model, tokenizer).")
    if not isinstance(hf, nn.Module) or not hasattr(hf, "config"):
        raise TypeError(f"A model's name is a str, and a model one of transformers, not {name}.")
    if tokenizer is None:
        raise UserError(f"A {name} in memory needs its tokenizer: nl.load(model, tokenizer).")
    if getattr(hf, "is_quantized", False):
        raise UserError(f"The weights of this {name} are quantised: load them in float32.")
    if dtype not in ("auto", str(hf.dtype).removeprefix("torch.")):
        raise UserError(f"The weights of this {name} are {hf.dtype}: give one that is {dtype}.")
    devices = {parameter.device for parameter in hf.parameters()}
    if torch.device("meta") in devices:
        raise UserError(
            f"This {name} is without weights (on the device 'meta'): load it with them, by "
            "from_pretrained without device_map."
        )
    if len(devices) != 1:
        raise UserError(f"The weights of this {name} must be on one device: load them there.")
    config: Any = hf.config
    inner = _unwrapped(hf)
    family = family_of(config.model_type, lambda: inner)
    kind = kind_of(name, config, [type(inner).__name__])
    check(family, name, inner, kind)
    with making():
        twin = _twin(hf)
        family.fuse(twin)
    model = Model(
        twin if device == "auto" else twin.to(resolve_device(device)),
        tokenizer,
        family,
        name=f"{name} in memory",
        kind=kind,
        alphabet=alphabet_of(tokenizer, kind),
        revision=_revision(twin),
        note=_note(hf),
    )
    tried(model)
    return model


def _twin(hf: nn.Module) -> Any:
    """Modules of their own on the same weights, with nothing hanging on them."""
    weights: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in hf.parameters()
    }
    weights |= {id(buffer): buffer for buffer in hf.buffers()}
    twin: Any = _merged(copy.deepcopy(hf, weights))
    for module in twin.modules():
        for kind in ("forward", "forward_pre", "backward", "backward_pre"):
            getattr(module, f"_{kind}_hooks").clear()
    if twin._supports_sdpa:  # as loading chooses
        twin.set_attn_implementation("sdpa")
    return twin


def _note(hf: Any) -> str:
    """What became of the adapters of a model of peft."""
    if not hasattr(hf, "peft_config"):
        return ""
    switches = [getattr(module, "disable_adapters", None) for module in hf.modules()]
    on = any(switch is False for switch in switches)  # of models it is a method
    return f"Its adapter is {'merged into its weights' if on else 'switched off, and left out'}."


def _unwrapped(hf: Any) -> Any:
    """The model of transformers around which peft may have put one of its own."""
    return hf.get_base_model() if hasattr(hf, "get_base_model") else hf


def _merged(twin: Any) -> Any:
    """A model without the adapters that peft has put around its layers; others as they are.

    Peft merges them in place: the weights it changes are no longer the original's. What is
    switched off stays out of it.
    """
    if not hasattr(twin, "peft_config"):
        return twin
    if not hasattr(twin, "merge_and_unload"):
        raise UserError(
            "The adapters of this model cannot be merged into its weights: give the model that "
            "peft makes of it (PeftModel) with an adapter such as LoRA."
        )
    for module in twin.modules():
        if hasattr(module, "base_layer"):
            for part, weight in module.base_layer.named_parameters(recurse=False):
                setattr(module.base_layer, part, nn.Parameter(weight.clone(), requires_grad=False))
        if getattr(module, "disable_adapters", None) is True:  # of models it is a method
            if getattr(module, "merged", False):
                module.unmerge()
            module.set_adapter([])
    return twin.merge_and_unload()


def _revision(hf: nn.Module) -> str:
    """Of what the weights are, without reading all of them twice: sums of each."""
    digest = hashlib.sha256()
    for name, weight in hf.named_parameters():
        total = float(weight.detach().sum(dtype=torch.float64))
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype} {total!r}".encode())
    return f"memory:{digest.hexdigest()[:16]}"
