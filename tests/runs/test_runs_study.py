import numpy as np
import pytest
from runs_toys import Toy, ToySpec

from neuronlab.errors import UserError
from neuronlab.runs import Cancelled, Context, Result, Study, run_study, running, stored_result


class Recorder(Context):
    def __init__(self, **options):
        self.seen = []
        super().__init__(on_progress=lambda *report: self.seen.append(report), **options)


def test_progress_never_falls_and_stays_in_range():
    context = Recorder()
    for fraction in (0.2, 0.1, -1, float("nan"), 0.5, 7):
        context.progress(fraction)
    assert [fraction for fraction, _ in context.seen] == [0.2, 0.2, 0.2, 0.2, 0.5, 1.0]


def test_progress_is_scaled_over_the_shards(store):
    context = Recorder()
    body = lambda spec, shard, context: context.progress(0.5, f"shard {shard}")  # noqa: E731
    run_study(Toy(body), ToySpec(parts=2), store, context)
    assert context.seen == [(0.25, "shard 0"), (0.5, ""), (0.75, "shard 1"), (1.0, "")]


def test_progress_raises_when_cancelled():
    context = Recorder(cancelled=lambda: True)
    with pytest.raises(Cancelled):
        context.progress(0.5)
    with pytest.raises(Cancelled):
        context.part(0, 2).check()
    assert context.seen == []


def test_a_single_shard_is_not_stored(store):
    run_study(Toy(), ToySpec(), store, Context())
    assert store.finished_shards(ToySpec().key) == set()


def test_finished_shards_are_skipped_and_damaged_ones_computed_again(store):
    spec = ToySpec(parts=3)
    run_study(Toy(), spec, store, Context())
    assert store.finished_shards(spec.key) == {0, 1, 2}
    (store.shard_path(spec.key, 1) / "result.json").write_text("garbage")
    toy, context = Toy(), Context()
    assert run_study(toy, spec, store, context).numbers == {"sum": 6}
    assert toy.computed == [("hello", 1)]
    assert context.skipped == pytest.approx(2 / 3)
    assert store.load_shard(spec.key, 1).numbers == {"sum": 2}


def test_several_parts_need_a_merge():
    class Plain(Toy):
        merge = Study.merge

    only = Result()
    assert Plain().merge(ToySpec(), [only], Context()) is only
    with pytest.raises(NotImplementedError, match="Plain has 2 parts"):
        Plain().merge(ToySpec(), [Result(), Result()], Context())


class Needing(Toy):
    """A toy that adds what two others found."""

    needing = 0.5

    def needs(self, spec):
        return [(self.other, ToySpec(text="first", parts=2)), (self.other, ToySpec(text="second"))]

    def run_shard(self, spec, shard, context):
        super().run_shard(spec, shard, context)
        return Result(numbers={"sum": sum(given.numbers["sum"] for given in context.given)})


def test_what_a_study_needs_is_computed_once_and_stored(store):
    study, spec, context = Needing(), ToySpec(text="own"), Recorder()
    study.other = Toy()
    assert run_study(study, spec, store, context).numbers == {"sum": 3 + 1}
    assert study.other.computed == [("first", 0), ("first", 1), ("second", 0)]
    fractions = [fraction for fraction, _ in context.seen]
    assert fractions == sorted(fractions)
    assert {0.25, 0.5, 1.0} <= set(fractions)
    study.other = Toy()
    assert run_study(study, spec, store, Context()).numbers == {"sum": 4}
    assert study.other.computed == []


def test_a_need_that_is_damaged_is_computed_again(store):
    study = Needing()
    study.other = Toy()
    run_study(study, ToySpec(), store, Context())
    (store.path(ToySpec(text="second").key) / "result.json").write_text("garbage")
    study.other = Toy()
    assert run_study(study, ToySpec(), store, Context()).numbers == {"sum": 4}
    assert study.other.computed == [("second", 0)]


def test_the_slower_of_two_processes_takes_the_result_of_the_faster(store):
    class Streaming(Toy):
        streams = True

    def another_ends(spec, shard, context):
        if shard == 1:
            store.save(spec, Result(numbers={"sum": 3}), seconds=1)

    spec = ToySpec(parts=2)
    found = stored_result(Streaming(another_ends), spec, store, Context())
    assert found.numbers == {"sum": 3}
    assert store.finished_shards(spec.key) == set()


def test_streamed_parts_are_read_from_the_disk_one_at_a_time(store):
    class Streaming(Toy):
        streams = True

        def merge(self, spec, parts, context):
            seen = [parts[i] for i in range(len(parts))]
            assert all(again is not part for again, part in zip(parts, seen, strict=True))
            return super().merge(spec, parts, context)

    assert run_study(Streaming(), ToySpec(parts=3), store, Context()).numbers == {"sum": 6}


class OutOfMemoryError(RuntimeError):
    """As torch's: a card's memory ran out in the middle of a run."""


@pytest.mark.parametrize(
    ("error", "said"), [(OutOfMemoryError("CUDA"), "the GPU"), (MemoryError(), "this machine")]
)
def test_that_memory_ran_out_is_told_in_one_sentence(store, error, said):
    def body(spec, shard, context):
        raise error

    with pytest.raises(UserError, match=f"The memory of {said} ran out") as caught:
        run_study(Toy(body), ToySpec(), store, Context())
    assert type(error).__name__ in caught.value.details


def test_other_errors_stay_what_they_are(store):
    def body(spec, shard, context):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run_study(Toy(body), ToySpec(), store, Context())


def test_a_context_and_its_parts_load_models_with_what_they_were_given():
    asked = []
    context = Context("cuda:1", load=lambda *what: asked.append(what) or "the model")
    assert context.model("small", "v1") == context.part(0.5, 0.1).model("small") == "the model"
    assert asked == [("small", "cuda:1", "v1"), ("small", "cuda:1", "")]


def test_without_a_loader_there_are_no_models(monkeypatch):
    monkeypatch.setattr(Context, "loader", None)
    with pytest.raises(RuntimeError, match="how models are loaded"):
        Context().model("small")


def test_shards_may_depend_on_what_the_study_needs(store):
    class Needing(Toy):
        def needs(self, spec):
            return [(Toy(), ToySpec(text="needed"))]

        def shards(self, spec, context):
            assert [given.numbers for given in context.given] == [{"sum": 1}]
            return super().shards(spec, context)

    run_study(Needing(), ToySpec(parts=2), store, Context())


@pytest.fixture
def at_once(monkeypatch):
    """Every preview is shown."""
    monkeypatch.setattr(running, "_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(running, "_PREVIEWING", np.inf)


class Previewed(Toy):
    """Shows what there is of the sum; of one part alone there is nothing to say."""

    previews = True

    def merge(self, spec, parts, context):
        if len(parts) < 2:
            raise UserError("One part says nothing.")
        context.progress(1.0)
        return super().merge(spec, parts, context)


def test_a_preview_is_of_the_parts_that_are_there_and_no_progress(store, at_once):
    previews = []
    context = Recorder(on_preview=previews.append)
    assert run_study(Previewed(), ToySpec(parts=4), store, context).numbers == {"sum": 10}
    assert [each.result.numbers for each in previews] == [{"sum": 3}, {"sum": 6}]
    assert [each.words for each in previews] == ["2 of 4 parts", "3 of 4 parts"]
    fractions = [fraction for fraction, _ in context.seen]
    assert fractions == [0.25, 0.5, 0.75, 1.0, 1.0]  # the last is the merge itself


def test_a_preview_may_be_less_than_a_merge_and_stands_while_parts_are_merged(store, at_once):
    class Long(Previewed):
        merging = 0.5

        def preview(self, spec, parts, context):
            return Result({"parts": len(parts)})

    previews = []
    context = Context(on_preview=previews.append)
    assert run_study(Long(), ToySpec(parts=3), store, context).numbers == {"sum": 6}
    assert [each.result.numbers["parts"] for each in previews] == [1, 2, 3]
    assert previews[-1].words == "3 of 3 parts"


def test_what_a_study_needs_is_previewed_by_the_study_itself(store, at_once):
    """A page cannot draw the previews of another study."""

    class Needing(Toy):
        name = "needing"
        previews = True
        unit = "sums"

        def needs(self, spec):
            return [(Previewed(), ToySpec(text=text, parts=4)) for text in "abc"]

        def preview(self, spec, parts, context):
            assert not parts
            return Result({"given": [each.numbers["sum"] for each in context.given]})

    previews = []
    run_study(Needing(), ToySpec(), store, Context(on_preview=previews.append))
    assert [each.result.numbers["given"] for each in previews] == [[10], [10, 10]]
    assert [each.words for each in previews] == ["1 of 3 sums", "2 of 3 sums"]


def test_previews_are_not_computed_where_nobody_looks(store):
    merged = []

    class Unseen(Previewed):
        def merge(self, spec, parts, context):
            merged.append(len(parts))
            return super().merge(spec, parts, context)

    assert run_study(Unseen(), ToySpec(parts=3), store, Context()).numbers == {"sum": 6}
    assert merged == [3]


def test_previews_take_a_small_share_of_the_time(store, monkeypatch):
    clock = iter(range(0, 1000, 10))  # every preview takes 10 s, and so does a part
    monkeypatch.setattr(running.time, "perf_counter", lambda: next(clock))
    previews = []
    run_study(Previewed(), ToySpec(parts=30), store, Context(on_preview=previews.append))
    assert 1 <= len(previews) <= 3
