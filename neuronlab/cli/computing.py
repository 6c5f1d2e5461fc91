"""From a spec to its result, in this process; nothing is computed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuronlab.cli.terminal import ProgressLine, quiet

if TYPE_CHECKING:
    from neuronlab.runs import Result, Spec


def with_revision(spec: Spec, device: str) -> Spec:
    """The spec with the revision of its model's weights, where it has that field and names none.

    Pages name it as well: the same question has the same key here and there.
    """
    from neuronlab.models import shared
    from neuronlab.models.catalogue import entry

    if getattr(spec, "revision", None) != "" or not hasattr(spec, "model"):
        return spec
    listed = entry(spec.model)
    revision = listed.revision if listed else ""
    return spec.model_copy(update={"revision": revision or shared(spec.model, device).revision})


def compute(spec: Spec, device: str) -> Result:
    """The stored result of `spec`, or a new one, which is stored.

    Ctrl-C keeps the finished shards: the same command, or the app, goes on from there.
    """
    from neuronlab.models.device import resolve_device
    from neuronlab.runs import Context, Store, stored_result
    from neuronlab.studies import STUDIES

    quiet()
    store = Store()
    result = store.find(spec.key)
    if result is not None:
        return result
    device = resolve_device(device)
    with ProgressLine() as progress:
        store.mark_pending(spec, device)
        try:
            context = Context(device, on_progress=progress)
            result = stored_result(STUDIES[spec.study], spec, store, context)
        except KeyboardInterrupt:
            if store.finished_shards(spec.key):
                store.release_pending(spec.key)
                print("\nThe finished parts are kept: the same command goes on from there.")
            else:
                store.unmark_pending(spec.key)
            raise
        except BaseException:
            store.unmark_pending(spec.key)
            raise
    store.unmark_pending(spec.key)
    return result
