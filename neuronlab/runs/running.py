"""Running a study: what it needs, its shards, here or on a cluster, and the stored result."""

import time
from collections.abc import Sequence
from contextlib import suppress

from neuronlab.errors import UserError, memory_in_a_sentence
from neuronlab.runs import cluster
from neuronlab.runs.errors import UnreadableResult
from neuronlab.runs.result import Result
from neuronlab.runs.spec import Spec
from neuronlab.runs.store import Store
from neuronlab.runs.study import Context, Study

# Previews come no more often than that (seconds), and take no more than this share of a run's time.
_BETWEEN_PREVIEWS = 2.0
_PREVIEWING = 0.1


def stored_result(study: Study, spec: Spec, store: Store, context: Context) -> Result:
    """The stored result of `spec`, or a new one, which is stored. Raises what `run_study` does."""
    result = store.find(spec.key)
    if result is None:
        began = time.perf_counter()
        try:
            result = run_study(study, spec, store, context)
        except UnreadableResult:
            # A faster process, which stored the result, removed the parts on which this one was.
            result = store.find(spec.key)
            if result is None:
                raise
        store.save(spec, result, seconds=time.perf_counter() - began)
    return result


@memory_in_a_sentence()
def run_study(study: Study, spec: Spec, store: Store, context: Context) -> Result:
    """Compute the result of `spec`, which the caller saves with `store.save`.

    What the study needs is computed first, unless it is stored. When there are several shards, each
    is stored when finished, and those found stored are not computed again. Raises what the study
    raises, Cancelled, or UserError when a shard cannot be stored or a cluster not be used.
    """
    needs = study.needs(spec)
    needing = study.needing if needs else 0.0
    after_needs = context.part(needing, 1 - needing)
    previews = _Previews(study, spec, context)
    for i, need in enumerate(needs):
        of_need = context.part(i * needing / len(needs), needing / len(needs), previews=False)
        after_needs.given += (stored_result(*need, store, of_need),)
        of_need.progress(1.0)
        if i + 1 < len(needs):
            previews.show(after_needs.given, (), f"{i + 1} of {len(needs)} {study.unit}")
    shards = study.shards(spec, after_needs)
    count = len(shards)
    share = (1 - study.merging) / count
    finished = store.finished_shards(spec.key) if count > 1 else set()
    remote = study.distributed and count > 1 and cluster.address() != ""
    if remote:
        context.skipped += len(finished) * share * (1 - needing)
        missing = {i: shard for i, shard in enumerate(shards) if i not in finished}
        if missing:
            computing = after_needs.part(0, 1 - study.merging)
            cluster.compute_shards(study, spec, missing, count, store, computing)
        finished = set(range(count))
    parts: list[Result | None] = []
    so_far = _Parts(store, spec.key, parts)
    for index, shard in enumerate(shards):
        after_needs.check()
        part = _stored_shard(store, spec.key, index) if index in finished else None
        if part is None:
            part = study.run_shard(spec, shard, after_needs.part(index * share, share))
            if count > 1:
                store.save_shard(spec.key, index, part)
        elif not remote:
            context.skipped += share * (1 - needing)
        parts.append(None if study.streams and count > 1 else part)
        after_needs.progress((index + 1) * share)
        if index + 1 < count or study.merging:
            words = f"{index + 1} of {count} {study.unit}"
            previews.show(after_needs.given, so_far, words)
    merging = after_needs.part(1 - study.merging, study.merging)
    return study.merge(spec, so_far, merging)


class _Previews:
    """Shows what there is of a run while it goes on, so seldom that it takes little time."""

    def __init__(self, study: Study, spec: Spec, context: Context) -> None:
        self._study, self._spec, self._context = study, spec, context
        self._next = 0.0

    def show(self, given: tuple[Result, ...], parts: Sequence[Result], words: str) -> None:
        if not (self._study.previews and self._context.previews):
            return
        began = time.perf_counter()
        if began < self._next:
            return
        with suppress(UserError):  # the first parts alone may say nothing
            result = self._study.preview(self._spec, parts, self._context.aside(given))
            if result is not None:
                self._context.preview(result, words)
        ended = time.perf_counter()
        self._next = ended + max(_BETWEEN_PREVIEWS, (ended - began) / _PREVIEWING)


class _Parts(Sequence[Result]):
    """The parts of a run; those that are None are read from the store whenever they are needed."""

    def __init__(self, store: Store, key: str, parts: list[Result | None]) -> None:
        self._store, self._key, self._parts = store, key, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Result:  # type: ignore[override]  # nobody slices them
        part = self._parts[index]
        return self._store.load_shard(self._key, index) if part is None else part


def _stored_shard(store: Store, key: str, index: int) -> Result | None:
    try:
        return store.load_shard(key, index)
    except UnreadableResult:
        return None  # it is computed again
