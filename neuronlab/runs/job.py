"""One run in the queue: the snapshot that callers see, and the changing job behind it."""

import time
from dataclasses import dataclass, field
from typing import Literal

from neuronlab.runs.spec import Spec
from neuronlab.runs.study import Context, Preview

Status = Literal["queued", "running", "done", "failed", "cancelled"]

# Below this fraction the time that is left would be a wild guess.
_ENOUGH = 0.02


@dataclass(frozen=True)
class Run:
    """A run as it was at one moment.

    `fraction` is 0 to 1; `seconds_left` is an estimate, None when there is none, as where more time
    has passed since the fraction rose than was left then; `quiet` is how many seconds ago it rose.
    `submitted`, `started` and `finished` are Unix times in s. `error` is one sentence and `details`
    a traceback, both empty unless failed. `position` is the place in the device's queue, 0 =
    running or next. `owners` are those who wait for the result: it is to be stopped without any.
    `records` are rows that a running study lets people watch, `preview` what it shows by now of its
    result.
    """

    key: str
    study: str
    spec: Spec
    device: str
    status: Status
    fraction: float
    message: str
    seconds_left: float | None
    quiet: float
    error: str
    details: str
    submitted: float
    started: float | None
    finished: float | None
    position: int
    owners: frozenset[str]
    records: tuple[dict[str, float], ...] = ()
    preview: Preview | None = None

    @property
    def active(self) -> bool:
        """Whether the run is queued or running."""
        return self.status in {"queued", "running"}


@dataclass(eq=False)
class Job:
    """The run inside the queue, changed only under the queue's lock.

    `owners` are those who wait for the result; a job without owners is to be stopped.
    """

    spec: Spec
    device: str
    owners: set[str]
    status: Status = "queued"
    fraction: float = 0.0
    message: str = ""
    error: str = ""
    details: str = ""
    submitted: float = field(default_factory=time.time)
    started: float | None = None
    rose: float = 0.0  # when the fraction last did
    finished: float | None = None
    context: Context | None = None
    records: list[dict[str, float]] = field(default_factory=list)
    preview: Preview | None = None

    @property
    def active(self) -> bool:
        """Whether the job is queued or running."""
        return self.status in {"queued", "running"}

    def start(self, context: Context) -> None:
        """Note that a worker has begun."""
        self.status, self.started, self.context = "running", time.time(), context
        self.rose = self.started

    def progress(self, fraction: float, message: str) -> None:
        """Note what is done by now."""
        if fraction > self.fraction:
            self.fraction, self.rose = fraction, time.time()
        self.message = message or self.message

    def requeue(self) -> None:
        """Back to the state before `start`."""
        self.status, self.started, self.context = "queued", None, None
        self.fraction, self.message, self.records, self.preview = 0.0, "", [], None

    def finish(self, status: Status, error: str = "", details: str = "") -> None:
        """Note how the job ended."""
        self.status, self.error, self.details = status, error, details
        self.finished = time.time()
        # What is of use while it runs alone; the queue keeps its jobs.
        self.preview, self.context, self.records = None, None, []
        if status == "done":
            self.fraction = 1.0

    def snapshot(self, position: int = 0) -> Run:
        """The job as it is now."""
        return Run(
            key=self.spec.key,
            study=self.spec.study,
            spec=self.spec,
            device=self.device,
            status=self.status,
            fraction=self.fraction,
            message=self.message,
            seconds_left=self._seconds_left(),
            quiet=time.time() - self.rose if self.status == "running" else 0.0,
            error=self.error,
            details=self.details,
            submitted=self.submitted,
            started=self.started,
            finished=self.finished,
            position=position,
            owners=frozenset(self.owners),
            records=tuple(self.records) if self.status == "running" else (),
            preview=self.preview,
        )

    def _seconds_left(self) -> float | None:
        if self.status != "running" or self.started is None or self.context is None:
            return None
        # What was found stored took no time, and says nothing about the rest.
        computed = self.fraction - self.context.skipped
        if computed <= _ENOUGH:
            return None
        left = (self.rose - self.started) * (1 - self.fraction) / computed
        left -= time.time() - self.rose
        return left if left > 0 else None
