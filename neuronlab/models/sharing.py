"""One copy of a model for all who use this process; the last few are kept."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from neuronlab.errors import UserError
from neuronlab.models.device import resolve_device
from neuronlab.models.loading import load
from neuronlab.models.model import Model

_KEEP = 2
_shared: OrderedDict[tuple[str, str], Model] = OrderedDict()
_loading: dict[tuple[str, str], Lock] = {}
_sharing = Lock()


def shared(name: str, device: str = "auto", revision: str = "") -> Model:
    """The one copy of a model that all who use this process share; the last few are kept.

    Raises:
        UserError: as ``load``; and where a revision is named that the weights here do not have.
    """
    model = _shared_copy(name, device)
    check_revision(model, revision)
    return model


def at_hand(name: str, device: str = "auto") -> Model | None:
    """A model's shared copy, where there is one: nothing is loaded."""
    with _sharing:
        return _shared.get((name, resolve_device(device)))


def check_revision(model: Model, revision: str) -> None:
    """Raises UserError where a revision is named that the weights do not have."""
    if revision and revision != model.revision:
        raise UserError(
            f"The weights of '{model.name}' that were asked for, {revision}, are not the ones "
            f"here, {model.revision}: name these, or none."
        )


def _shared_copy(name: str, device: str) -> Model:
    at = (name, resolve_device(device))
    with _sharing:
        loading = _loading.setdefault(at, Lock())
    # One model's load must not hold up those who use another.
    with loading:
        with _sharing:
            if at in _shared:
                _shared.move_to_end(at)
                return _shared[at]
            while len(_shared) >= _KEEP:
                _shared.popitem(last=False)
        model = load(name, device=at[1])
        with _sharing:
            _shared[at] = model
        return model


def forget(name: str) -> None:
    """Let the next who shares this model load it anew: its files have changed."""
    with _sharing:
        for at in [at for at in _shared if at[0] == name]:
            del _shared[at]
