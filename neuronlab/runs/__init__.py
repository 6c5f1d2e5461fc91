"""From a spec to a result on disk, through a queue with one worker for each device."""

from neuronlab.runs.errors import MissingResult, UnreadableResult, UserError
from neuronlab.runs.job import Run, Status
from neuronlab.runs.pending import Pending
from neuronlab.runs.queue import Queue
from neuronlab.runs.records import Record
from neuronlab.runs.result import Result
from neuronlab.runs.running import run_study, stored_result
from neuronlab.runs.shelf import Shelf
from neuronlab.runs.spec import Seed, Spec, read_spec, spec_of
from neuronlab.runs.store import Store
from neuronlab.runs.study import Cancelled, Context, Preview, Study

__all__ = [
    "Cancelled",
    "Context",
    "MissingResult",
    "Pending",
    "Preview",
    "Queue",
    "Record",
    "Result",
    "Run",
    "Seed",
    "Shelf",
    "Spec",
    "Status",
    "Store",
    "Study",
    "UnreadableResult",
    "UserError",
    "read_spec",
    "run_study",
    "spec_of",
    "stored_result",
]
