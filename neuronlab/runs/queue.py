"""The queue: one worker thread for each device, one run at a time on each, people in turn."""

import ctypes
import json
import traceback
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from threading import Condition, Thread

from neuronlab.runs.errors import UserError
from neuronlab.runs.job import Job, Run, Status
from neuronlab.runs.pending import Pending
from neuronlab.runs.running import stored_result
from neuronlab.runs.spec import Spec, read_spec
from neuronlab.runs.store import Store
from neuronlab.runs.study import Cancelled, Context, Preview, Study


class Queue:
    """Computes specs in the background and stores the results; safe to use from any thread.

    `studies` maps the name of each study to the study. A result is never computed twice: whoever
    submits a spec that is queued or running joins that run, and a stored result is done at once,
    unless it is damaged: then it is removed and computed again.
    """

    def __init__(self, store: Store, studies: Mapping[str, Study]) -> None:
        self.store = store
        self._studies = dict(studies)
        self._jobs: dict[str, Job] = {}  # in the order of submission
        self._waiting: dict[str, list[Job]] = defaultdict(list)
        self._turns: Counter[str] = Counter()  # when each owner's last run began; 0: none did
        self._workers: dict[str, Thread] = {}
        self._closed = False
        # Guards all of the above; notified when a job is added or changes its status.
        self._changed = Condition()

    def submit(self, spec: Spec, *, device: str = "cpu", owner: str = "") -> Run:
        """Ask for the result of `spec` in the name of `owner`.

        A run that failed or was cancelled is tried again. ValueError for an unknown study,
        UserError after `close`, or when a damaged result cannot be removed.
        """
        if spec.study not in self._studies:
            raise ValueError(f"There is no study {spec.study!r}.")
        key = spec.key
        stored = self.store.find(key) is not None  # outside the lock: it reads the whole result
        with self._changed:
            if self._closed:
                raise UserError("The queue is closed, so nothing more can be computed.")
            job = self._jobs.get(key)
            if job and job.active:
                job.owners.add(owner)  # also takes back a cancellation not yet carried out
                return self._snapshot(job)
            self._jobs.pop(key, None)
            job = self._jobs[key] = Job(spec, device, {owner})
            if stored:
                self._finish(job, "done")
                return self._snapshot(job)
            try:
                self.store.mark_pending(spec, device)
            except UserError as error:
                self._finish(job, "failed", str(error))
                return self._snapshot(job)
            self._waiting[device].append(job)
            self._start_worker(device)
            self._changed.notify_all()
            return self._snapshot(job)

    def get(self, key: str) -> Run | None:
        """The run as it is now, or None when it was not submitted to this queue."""
        with self._changed:
            job = self._jobs.get(key)
            return self._snapshot(job) if job else None

    def runs(self) -> list[Run]:
        """All runs submitted to this queue, newest first."""
        with self._changed:
            places = {
                job.spec.key: place
                for device in self._waiting
                for place, job in enumerate(self._in_turn(device))
            }
            jobs = reversed(self._jobs.values())
            return [job.snapshot(places.get(job.spec.key, 0)) for job in jobs]

    def cancel(self, key: str, *owners: str) -> Run:
        """Withdraw the interest of `owners`, or of ""; the run stops when no other waits for it.

        A queued run stops at once, a running one at the study's next `context.check()`; a run that
        has ended stays as it is. KeyError when the run was not submitted to this queue.
        """
        with self._changed:
            job = self._jobs[key]
            job.owners.difference_update(owners or {""})
            if not job.owners and job.status == "queued":
                self._waiting[job.device].remove(job)
                self._finish(job, "cancelled")
            elif not job.owners and job.status == "running":
                job.message = "Stopping"
            return self._snapshot(job)

    def wait(self, key: str, timeout: float | None = None) -> Run:
        """Wait until the run has ended, at most `timeout` seconds, and return it as it is then.

        KeyError when the run was not submitted to this queue.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs[key].active, timeout)
            return self._snapshot(self._jobs[key])

    def watch(self, key: str, timeout: float, seen: Preview | None) -> Run:
        """The same, but also return when there is another preview than the one that was seen."""

        def changed() -> bool:
            job = self._jobs[key]
            return not job.active or job.preview is not seen

        with self._changed:
            self._changed.wait_for(changed, timeout)
            return self._snapshot(self._jobs[key])

    def resume(self, pending: Pending, owner: str = "") -> Run:
        """Submit an interrupted run again; its finished shards are not computed again.

        ValueError with one sentence when its spec no longer fits any study.
        """
        specs = {name: study.spec_type for name, study in self._studies.items()}
        spec = read_spec(json.dumps(pending.spec), specs)
        run = self.submit(spec, device=pending.device, owner=owner)
        if spec.key != pending.key:  # the study has a new version: the old shards are of no use
            self.store.unmark_pending(pending.key)
            self.store.clear_shards(pending.key)
        return run

    def close(self, timeout: float | None = None) -> None:
        """Stop all runs and wait for the workers, each at most `timeout` seconds.

        The runs end as cancelled, but `store.interrupted()` offers them for resumption.
        """
        with self._changed:
            self._closed = True
            for waiting in self._waiting.values():
                while waiting:
                    self._finish(waiting.pop(0), "cancelled")
            self._changed.notify_all()
            workers = list(self._workers.values())
        for worker in workers:
            worker.join(timeout)

    # Under the lock

    def _snapshot(self, job: Job) -> Run:
        queued = job.status == "queued"
        return job.snapshot(self._in_turn(job.device).index(job) if queued else 0)

    def _in_turn(self, device: str) -> list[Job]:
        """What waits, in the order in which it will run.

        Of all owners, the one whose last run began longest ago is next; of one owner's runs, and of
        owners without any yet, what came first.
        """
        turns, waiting, order = self._turns.copy(), [*self._waiting[device]], []
        while waiting:
            job = min(waiting, key=lambda job: min(map(turns.__getitem__, job.owners)))
            waiting.remove(job)
            order.append(job)
            _take_turn(turns, job)
        return order

    def _start_worker(self, device: str) -> None:
        if device not in self._workers:
            worker = Thread(target=self._work, args=(device,), name=f"runs-{device}", daemon=True)
            self._workers[device] = worker
            worker.start()

    def _finish(self, job: Job, status: Status, error: str = "", details: str = "") -> None:
        stopped_by_close = self._closed and status == "cancelled" and job.owners
        with suppress(UserError):  # the run has ended, whether or not that can be noted on disk
            if stopped_by_close:
                self.store.release_pending(job.spec.key)
            else:
                self.store.unmark_pending(job.spec.key)
        job.finish(status, error, details)
        self._changed.notify_all()

    # In the worker thread

    def _work(self, device: str) -> None:
        waiting = self._waiting[device]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or waiting)
                if self._closed:
                    return
                job = self._in_turn(device)[0]
                waiting.remove(job)
                _take_turn(self._turns, job)
                context = self._context(job)
                job.start(context)
            status, error, details = self._compute(job, context)
            with self._changed:
                if status == "cancelled" and job.owners and not self._closed:
                    # Cancelled, and wanted again before it had stopped.
                    job.requeue()
                    for owner in job.owners:
                        del self._turns[owner]
                    waiting.insert(0, job)
                else:
                    self._finish(job, status, error, details)
            _give_back()

    def _context(self, job: Job) -> Context:
        def on_progress(fraction: float, message: str) -> None:
            with self._changed:
                job.progress(fraction, message)

        def on_record(row: dict[str, float]) -> None:
            with self._changed:
                job.records.append(row)

        def on_preview(preview: Preview) -> None:
            with self._changed:
                job.preview = preview
                self._changed.notify_all()

        return Context(
            job.device,
            on_progress=on_progress,
            on_record=on_record,
            on_preview=on_preview,
            cancelled=lambda: self._closed or not job.owners,
        )

    def _compute(self, job: Job, context: Context) -> tuple[Status, str, str]:
        """The status the job ends with, the sentence for a failure, and its traceback."""
        try:
            # Another process may have been faster than the queue.
            stored_result(self._studies[job.spec.study], job.spec, self.store, context)
        except Cancelled:
            return "cancelled", "", ""
        except UserError as error:
            return "failed", str(error), ""
        except BaseException as error:  # even SystemExit must not end the worker
            reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
            return "failed", f"The run failed unexpectedly: {reason}", traceback.format_exc()
        return "done", "", ""


def _take_turn(turns: Counter[str], job: Job) -> None:
    turn = 1 + max(turns.values(), default=0)
    for owner in job.owners:
        turns[owner] = turn


def _give_back() -> None:
    """Hand memory that a run has freed back to the system, where its C library would keep it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
