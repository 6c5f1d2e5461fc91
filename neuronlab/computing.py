"""From a spec, or the fields of one, to its result: in this process, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from neuronlab.errors import UserError
from neuronlab.progress import Progress, unheard

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from neuronlab.runs import Result, Spec, Store, Study


def run(
    study: str, /, *, device: str = "auto", progress: Progress = unheard, **fields: Any
) -> Result:
    """The result of a study, from the store, or computed now and stored.

    The app and the command line use the same store: what one has computed, all have.

        result = nl.run("value_query", model="smollm2-135m", text="The capital of France is")
        result.numbers, result.tables["neurons"], result.plot()

    Args:
        study: a name that ``nl.studies()`` lists.
        device: "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1", "mps".
        progress: called with a fraction, 0 to 1, and words; an exception it raises ends the run.
            Its finished parts are kept.
        fields: of the study's spec; those that are not named have their defaults. Without any, the
            study's own first question.

    Raises:
        UserError: no such study, wrong fields, or what the study says.
    """
    from neuronlab.runs import spec_of

    chosen = study_named(study)
    try:
        spec = spec_of(chosen.spec_type, fields) if fields else chosen.default()
    except ValueError as error:
        raise UserError(str(error)) from error
    return compute(with_revision(spec, device), device, progress)


def study_named(name: str) -> Study:
    """The study of that name. Raises UserError, listing the names there are."""
    from neuronlab.studies import STUDIES

    if name not in STUDIES:
        raise UserError(f"There is no study '{name}'; there is {', '.join(STUDIES)}.")
    return STUDIES[name]


def with_revision(spec: Spec, device: str) -> Spec:
    """The spec with the revision of its model's weights, where it has that field and names none.

    Pages name it as well: the same question has the same key here and there.
    """
    from neuronlab.models import shared
    from neuronlab.models.catalogue import revision_of

    if getattr(spec, "revision", None) != "" or not hasattr(spec, "model"):
        return spec
    revision = revision_of(spec.model) or shared(spec.model, device).revision
    return spec.model_copy(update={"revision": revision})


def compute(spec: Spec, device: str = "auto", progress: Progress = unheard) -> Result:
    """The stored result of `spec`, or a new one, which is stored.

    Ctrl-C keeps the finished shards: the same call, or the app, goes on from there.
    """
    from neuronlab.runs import Store

    study = study_named(spec.study)
    store = Store()
    result = store.find(spec.key)
    if result is None:
        result = _computed(study, spec, store, device, progress)
    return replace(result, draw=partial(_drawn, study, spec))


def _drawn(study: Study, spec: Spec, result: Result) -> go.Figure:
    from neuronlab.figures.charts import standalone

    return standalone(study.plot(spec, result))


def _computed(study: Study, spec: Spec, store: Store, device: str, progress: Progress) -> Result:
    from neuronlab.models.device import resolve_device
    from neuronlab.runs import Context, stored_result

    device = resolve_device(device)
    store.mark_pending(spec, device)
    try:
        result = stored_result(study, spec, store, Context(device, on_progress=progress))
    except KeyboardInterrupt:
        if store.finished_shards(spec.key):
            store.release_pending(spec.key)
        else:
            store.unmark_pending(spec.key)
        raise
    except BaseException:
        store.unmark_pending(spec.key)
        raise
    store.unmark_pending(spec.key)
    return result
