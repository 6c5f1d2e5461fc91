"""A study computes the result of a spec, in one or several shards."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from neuronlab.errors import memory_told
from neuronlab.progress import Progress
from neuronlab.runs import cluster
from neuronlab.runs.errors import UnreadableResult
from neuronlab.runs.result import Result
from neuronlab.runs.spec import Spec
from neuronlab.runs.store import Store


class Cancelled(Exception):
    """The run was cancelled; a study lets it pass."""


class Context:
    """What a running study is given: its device, and the way to report progress.

    `on_progress(fraction, message)` hears of progress, `on_record(row)` of records; `cancelled()`
    says whether to stop.
    `skipped` is the fraction of the run that was not computed because it was stored already.
    `given` are the results that the study needs, in the order of `Study.needs`.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        on_progress: Progress | None = None,
        on_record: Callable[[dict[str, float]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        given: Sequence[Result] = (),
    ) -> None:
        self.device = device
        self.given = tuple(given)
        self.skipped = 0.0
        self._on_record = on_record
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._fraction = 0.0

    def progress(self, fraction: float, message: str = "") -> None:
        """Report that `fraction` (0 to 1, never falling) is done; Cancelled as in `check`."""
        self.check()
        self._fraction = min(max(self._fraction, fraction), 1.0)
        if self._on_progress:
            self._on_progress(self._fraction, message)

    def record(self, row: dict[str, float]) -> None:
        """A row of what a person may watch while the run goes on; it is not kept."""
        if self._on_record:
            self._on_record(row)

    def check(self) -> None:
        """Raise Cancelled when the run was cancelled; call it at least once a second."""
        if self._cancelled and self._cancelled():
            raise Cancelled

    def part(self, start: float, share: float) -> "Context":
        """The context of the part from `start` on that is `share` of it; it reports to this one."""
        return Context(
            self.device,
            on_progress=lambda done, message: self.progress(start + done * share, message),
            on_record=self._on_record,
            cancelled=self._cancelled,
            given=self.given,
        )


class Study(ABC):
    """One kind of computation: `name` equals its spec's `study`; `title` is shown to people.

    `merging` is the share of a run's time, 0 to 1, that `merge` takes, and `needing` the share of
    what it `needs`. Where `streams`, the parts together may not fit in memory: `merge` gets a
    sequence that reads a part from the disk whenever it is asked for one. Where `distributed`, each
    of several shards is long enough (a minute, say) to be worth sending to a Ray cluster, when the
    settings name one: there it has the arrays of `given` read-only, and reports no progress.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    spec_type: ClassVar[type[Spec]]
    merging: ClassVar[float] = 0.0
    needing: ClassVar[float] = 0.0
    streams: ClassVar[bool] = False
    distributed: ClassVar[bool] = False

    @abstractmethod
    def default(self) -> Spec:
        """A spec that gives a good first result."""

    def needs(self, spec: Spec) -> list[tuple["Study", Spec]]:
        """Results of other studies that this one starts from; each is computed once and stored."""
        return []

    def shards(self, spec: Spec) -> list[Any]:
        """The parts of the run, in a fixed order; each finished one survives an interruption."""
        return [None]

    @abstractmethod
    def run_shard(self, spec: Spec, shard: Any, context: Context) -> Result:
        """The result of one part; UserError for a failure the person can act on."""

    def merge(self, spec: Spec, parts: Sequence[Result], context: Context) -> Result:
        """The result of the run from its parts, in the order of `shards`.

        It may compute as `run_shard` does, for `merging` of the whole run's time.
        """
        if len(parts) != 1:
            raise NotImplementedError(
                f"{type(self).__name__} has {len(parts)} parts and must say how they merge"
            )
        return parts[0]


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


@memory_told()
def run_study(study: Study, spec: Spec, store: Store, context: Context) -> Result:
    """Compute the result of `spec`, which the caller saves with `store.save`.

    What the study needs is computed first, unless it is stored. When there are several shards, each
    is stored when finished, and those found stored are not computed again. Raises what the study
    raises, Cancelled, or UserError when a shard cannot be stored or a cluster not be used.
    """
    needs = study.needs(spec)
    needing = study.needing if needs else 0.0
    own = context.part(needing, 1 - needing)
    given = []
    for i, need in enumerate(needs):
        part = context.part(i * needing / len(needs), needing / len(needs))
        given.append(stored_result(*need, store, part))
        part.progress(1.0)
    own.given = tuple(given)
    shards = study.shards(spec)
    count = len(shards)
    share = (1 - study.merging) / count
    finished = store.finished_shards(spec.key) if count > 1 else set()
    remote = study.distributed and count > 1 and cluster.address() != ""
    if remote:
        context.skipped += len(finished) * share * (1 - needing)
        missing = {i: shard for i, shard in enumerate(shards) if i not in finished}
        if missing:
            computing = own.part(0, 1 - study.merging)
            cluster.compute_shards(study, spec, missing, count, store, computing)
        finished = set(range(count))
    parts: list[Result | None] = []
    for index, shard in enumerate(shards):
        own.check()
        part = _stored_shard(store, spec.key, index) if index in finished else None
        if part is None:
            part = study.run_shard(spec, shard, own.part(index * share, share))
            if count > 1:
                store.save_shard(spec.key, index, part)
        elif not remote:
            context.skipped += share * (1 - needing)
        parts.append(None if study.streams and count > 1 else part)
        own.progress((index + 1) * share)
    merging = own.part(1 - study.merging, study.merging)
    return study.merge(spec, _Parts(store, spec.key, parts), merging)


class _Parts(Sequence[Result]):
    """The parts of a run; those that are None are read from the store whenever they are needed."""

    def __init__(self, store: Store, key: str, parts: list[Result | None]) -> None:
        self._store, self._key, self._parts = store, key, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Result:
        part = self._parts[index]
        return self._store.load_shard(self._key, index) if part is None else part


def _stored_shard(store: Store, key: str, index: int) -> Result | None:
    try:
        return store.load_shard(key, index)
    except UnreadableResult:
        return None  # it is computed again
