"""Read and write neurons during a forward pass. Hooks never outlive their context."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.families.base import Site

Neurons = Float[Tensor, "row token neuron"]
Edit = Callable[[Neurons], Neurons]


@contextmanager
def edit(sites: Mapping[Any, tuple[Site, Edit]]) -> Iterator[None]:
    """Pass the neurons of each site through its function while the context is open.

    An edit that returns the very tensor it was given leaves the module's tensor untouched, so
    that reading changes no bit. The hooks are removed on the way out, also after an exception.
    """
    with ExitStack() as stack:
        for site, function in sites.values():
            stack.callback(_register(site, function).remove)
        yield


@contextmanager
def before(modules: Mapping[Any, tuple[nn.Module, Edit]]) -> Iterator[None]:
    """Pass the hidden states that enter each module through its function."""

    def hook_of(function: Edit) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (function(args[0]), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": function(kwargs["hidden_states"])}

        return hook

    with ExitStack() as stack:
        for module, function in modules.values():
            handle = module.register_forward_pre_hook(hook_of(function), with_kwargs=True)
            stack.callback(handle.remove)
        yield


@contextmanager
def before_sums(
    modules: Mapping[Any, tuple[nn.Module, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]],
) -> Iterator[None]:
    """Pass the two inputs of each module, neurons and residual stream, through its function."""
    with ExitStack() as stack:
        for module, function in modules.values():
            handle = module.register_forward_pre_hook(lambda _, args, edit=function: edit(*args))
            stack.callback(handle.remove)
        yield


@contextmanager
def for_each_row(modules: Iterable[tuple[nn.Module, str]], *, read: bool) -> Iterator[None]:
    """Give an input of each module, by its name, to all rows of the hidden states beside it.

    Args:
        read: whether it is what an encoder has read, an entry for each of the first rows; else it
            is all of one row, with as many entries as it has. The other rows have the first's.
    """

    def hook_of(name: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given = kwargs.get(name)
            if given is None:
                return args, kwargs
            each = 1 if read else len(given)
            others = len(args[0] if args else kwargs["hidden_states"]) - len(given) // each
            same = given[:each].detach().repeat(others, *[1] * (given.dim() - 1))
            return args, kwargs | {name: torch.cat([given, same])}

        return hook

    with ExitStack() as stack:
        for module, name in modules:
            handle = module.register_forward_pre_hook(hook_of(name), with_kwargs=True)
            stack.callback(handle.remove)
        yield


@contextmanager
def attention_by(hf: Any, name: str) -> Iterator[None]:
    """While open, all attention is computed by the function registered under this name.

    The caller holds the model's lock.
    """
    usual = hf.config._attn_implementation
    hf.config._attn_implementation = name
    try:
        yield
    finally:
        hf.config._attn_implementation = usual


def _register(site: Site, function: Edit) -> torch.utils.hooks.RemovableHandle:
    def write(tensor: Tensor) -> Tensor:
        if site.columns is None:
            return function(tensor)
        columns = site.columns.to(tensor.device)
        neurons = tensor.index_select(-1, columns)
        edited = function(neurons)
        return tensor if edited is neurons else tensor.index_copy(-1, columns, edited)

    def put_out(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        # Some blocks put out attention's weights beside the stream.
        return (write(output[0]), *output[1:]) if isinstance(output, tuple) else write(output)

    if site.side == "output":
        return site.module.register_forward_hook(put_out)
    return site.module.register_forward_pre_hook(lambda module, args: (write(args[0]), *args[1:]))
