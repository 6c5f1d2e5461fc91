import pytest
from runs_toys import Toy, ToySpec

from neuronlab.runs import Cancelled, Context, Result, Study, run_study


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
