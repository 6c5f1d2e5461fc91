"""A study computes the result of a spec, in one or several shards."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.progress import Progress
from neuronlab.runs.result import Result
from neuronlab.runs.spec import Spec

if TYPE_CHECKING:
    import plotly.graph_objects as go

# What loads a model: by its name, on a device, with the weights of a revision ("": of any).
Loader = Callable[[str, str, str], Any]


class Cancelled(Exception):
    """The run was cancelled; a study lets it pass."""


@dataclass(frozen=True, eq=False)
class Preview:
    """What a page may show of a run that is under way, and in `words` what it is of the whole."""

    result: Result
    words: str


class Context:
    """What a running study is given: its device, its models, and the way to report progress.

    `on_progress(fraction, message)` hears of progress, `on_record(row)` of records, `on_preview` of
    previews; `cancelled()` says whether to stop. `load` is what models come from; by default
    `loader`. `skipped` is the fraction of the run that was not computed, being stored already;
    `stored(key)` says, where what a run will cost is asked, whether a result is.
    `given` are the results that the study needs, in the order of `Study.needs`.
    """

    # Runs know no models: whoever defines studies says here how theirs are loaded.
    loader: ClassVar[Loader | None] = None

    def __init__(
        self,
        device: str = "cpu",
        *,
        load: Loader | None = None,
        on_progress: Progress | None = None,
        on_record: Callable[[dict[str, float]], None] | None = None,
        on_preview: Callable[[Preview], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        given: Sequence[Result] = (),
        stored: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self.device = device
        self.stored = stored
        self.given = tuple(given)
        self.skipped = 0.0
        self._load = load or Context.loader
        self._on_record = on_record
        self._on_preview = on_preview
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._fraction = 0.0

    def model(self, name: str, revision: str = "") -> Any:
        """The model of that name on the device of the run; the same one for all who ask.

        Raises what the loader raises: UserError for a model that is not there, or where a revision
        is named that its weights do not have.
        """
        if self._load is None:
            raise RuntimeError("nobody has said how models are loaded: import neuronlab.studies")
        return self._load(name, self.device, revision)

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

    @property
    def previews(self) -> bool:
        """Whether anybody looks at previews, so that they are worth computing."""
        return self._on_preview is not None

    def preview(self, result: Result, words: str) -> None:
        """What people may look at until the result is there; it is not kept.

        Args:
            result: with what the study's page draws of a preview.
            words: what it is of the whole, such as "the first 3 of 75 facts".
        """
        self.check()
        if self._on_preview:
            self._on_preview(Preview(result, words))

    def check(self) -> None:
        """Raise Cancelled when the run was cancelled; call it at least once a second."""
        if self._cancelled and self._cancelled():
            raise Cancelled

    def part(self, start: float, share: float, *, previews: bool = True) -> "Context":
        """The context of the part from `start` on that is `share` of it; it reports to this one.

        Args:
            previews: whether its previews are shown as those of the whole.
        """
        return Context(
            self.device,
            load=self._load,
            on_progress=lambda done, message: self.progress(start + done * share, message),
            on_record=self._on_record,
            on_preview=self._on_preview if previews else None,
            cancelled=self._cancelled,
            given=self.given,
            stored=self.stored,
        )

    def aside(self, given: Sequence[Result]) -> "Context":
        """The context of what is computed on the side: nobody hears of it, and it can be cancelled.

        Args:
            given: of the results that the study needs, those that there are.
        """
        return Context(self.device, load=self._load, cancelled=self._cancelled, given=given)


S = TypeVar("S", bound=Spec)


class Study(ABC, Generic[S]):
    """One kind of computation: `name` equals its spec's `study`; `title` is shown to people.

    It says of itself what it starts with (`default`), what is quickly computed to show it on some
    model (`example`), and what a run will take (`cost`).

    `unit` is what several shards are called. Where `previews`, a page may show `preview` of the
    first parts while others are computed or merged; a study of one part can call `Context.preview`
    in `run_shard` instead. `merging` is the share of a run's time, 0 to 1, that
    `merge` takes, and `needing` the share of what it `needs`. Where `streams`, the parts together
    may not fit in memory: `merge` gets a sequence that reads a part from the disk whenever it is
    asked for one. Where `distributed`, each of several shards is long enough (a minute, say) to be
    worth sending to a Ray cluster, when the settings name one: there it has the arrays of `given`
    read-only, and reports no progress.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    spec_type: type[S]
    unit: ClassVar[str] = "parts"
    previews: ClassVar[bool] = False
    merging: ClassVar[float] = 0.0
    needing: ClassVar[float] = 0.0
    streams: ClassVar[bool] = False
    distributed: ClassVar[bool] = False

    @property
    def kept(self) -> str:
        """What becomes of the parts of a run that is stopped, as a remark to its cost."""
        return f"; finished {self.unit} are kept"

    @abstractmethod
    def default(self) -> S:
        """A spec that gives a good first result."""

    def example(self, model: Any) -> S | None:
        """A small spec on this model, for people to begin with; set-up computes some of them.

        `model` is one that is loaded, or its entry in the catalogue: a name, a revision, a kind, an
        alphabet. None where the study does not suit it, or is not about one model.
        """
        return None

    def cost(self, spec: S, context: Context) -> Cost | None:
        """What the run will take, with the models of the context; None where nobody knows.

        UserError where the spec does not fit the model.
        """
        return None

    def needs(self, spec: S) -> Sequence[tuple["Study", Spec]]:
        """Results of other studies that this one starts from; each is computed once and stored."""
        return []

    def shards(self, spec: S, context: Context) -> list[Any]:
        """The parts of the run, in a fixed order; each finished one survives an interruption."""
        return [None]

    @abstractmethod
    def run_shard(self, spec: S, shard: Any, context: Context) -> Result:
        """The result of one part; UserError for a failure the person can act on."""

    def merge(self, spec: S, parts: Sequence[Result], context: Context) -> Result:
        """The result of the run from its parts, in the order of `shards`.

        It may compute as `run_shard` does, for `merging` of the whole run's time.
        """
        if len(parts) != 1:
            raise NotImplementedError(
                f"{type(self).__name__} has {len(parts)} parts and must say how they merge"
            )
        return parts[0]

    def plot(self, spec: S, result: Result) -> "go.Figure":
        """The figure that says most of a result, as its page draws it, for `Result.plot`.

        Raises:
            UserError: there is none.
        """
        raise UserError(f"{self.title}: no figure says it; look at .numbers and .tables.")

    def preview(self, spec: S, parts: Sequence[Result], context: Context) -> Result | None:
        """Where `previews`: what the first parts say already; it must be quick.

        By default their `merge`. It is asked after each result that the study `needs`, too, when
        there are no parts and `context.given` are the first of these: None where that says nothing.
        """
        return self.merge(spec, parts, context) if parts else None
