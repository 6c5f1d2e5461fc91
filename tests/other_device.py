"""A device that is not the processor, on any machine: torch's "meta" device, with memory.

On the processor a tensor that is made in the wrong place goes unnoticed. Inside ``other_device()``
tensors that are asked for on "meta" have values (which lie in ordinary memory) and insist, as those
of a GPU do: no product with a tensor of the processor, no ``numpy()`` without ``force``, no
generator of the processor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

NAME = "meta"
# A GPU reads indices from the processor, too.
_TAKES_INDICES = ("index.Tensor", "index_put_.default", "index_put.default", "_index_put_impl_")
_MOVES = ("_to_copy.default", "copy_.default", "set_.source_Tensor")


class Elsewhere(torch.Tensor):
    """A tensor on the other device; ``here`` holds its values."""

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> "Elsewhere":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=NAME,
            requires_grad=here.requires_grad,
        )

    def __init__(self, here: torch.Tensor) -> None:
        self.here = here

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Elsewhere({self.here})"

    def tolist(self) -> list:
        return self.here.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("can't convert a tensor of another device to numpy")
        return self.here.detach().resolve_conj().resolve_neg().numpy()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def run(function: Any, args: tuple, kwargs: dict) -> Any:
    name = str(function).removeprefix("aten.")
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    there = [t for t in tensors if isinstance(t, Elsewhere)]
    plain = [t for t in tensors if not isinstance(t, Elsewhere) and t.dim()]
    indexed = any(name.startswith(one) for one in _TAKES_INDICES)
    written = args[2] if indexed and len(args) > 2 else None
    if isinstance(written, torch.Tensor) and written.dim() and not isinstance(written, Elsewhere):
        indexed = False  # but not what is written there
    if there and plain and name not in _MOVES and not (indexed and isinstance(args[0], Elsewhere)):
        raise RuntimeError(f"{name}: tensors on two devices")
    device = kwargs.get("device")
    asked = torch.device(device) if device is not None else None
    goes = bool(there) if asked is None else asked.type == NAME
    generator = kwargs.get("generator")
    if goes and generator is not None and generator.device.type != NAME:
        raise RuntimeError(f"{name}: a generator of another device")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    real = tree_map_only(Elsewhere, lambda t: t.here, (args, kwargs))
    found = function(*real[0], **real[1])
    if name in ("copy_.default", "set_.source_Tensor"):
        return args[0]
    given = {id(t.here): t for t in there}  # what works in place gives back what it was given

    def wrap(tensor: torch.Tensor) -> torch.Tensor:
        return given[id(tensor)] if id(tensor) in given else Elsewhere(tensor)

    return tree_map_only(torch.Tensor, wrap, found) if goes else found


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


_MADE_AT_ONCE = (torch.tensor, torch.as_tensor, torch.eye)
_PRODUCTS = (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__)
_INDEXES = (torch.Tensor.__getitem__, torch.Tensor.__setitem__)


def _index(index: Any) -> Any:
    """Lists and arrays as tensors with values: torch would make empty ones of them."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, list | np.ndarray):
        return Elsewhere(torch.as_tensor(np.asarray(index)))
    return index


class _Functions(TorchFunctionMode):
    """What torch makes from numbers without asking the mode above."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.new_tensor and isinstance(args[0], Elsewhere):
            kwargs = {"dtype": args[0].dtype, "device": NAME, **kwargs}
            function, args = torch.tensor, args[1:]
        if function in _INDEXES and isinstance(args[0], Elsewhere):
            args = (args[0], _index(args[1]), *args[2:])
        if function in _PRODUCTS and args[0].dim() == 1 and args[1].dim() == 2:
            # Torch would make a matrix of a vector and change its shape in place, which a wrapper
            # cannot follow.
            return function(args[0][None], args[1])[0]
        asked = kwargs.get("device")
        at_once = function in _MADE_AT_ONCE and asked is not None
        if at_once and torch.device(asked).type == NAME:
            return Elsewhere(function(*args, **{**kwargs, "device": "cpu"}))
        return function(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[str]:
    """While open, the device of the name it gives has memory."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Functions(), _Mode():
            yield NAME
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
