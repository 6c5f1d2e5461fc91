"""The search that proves the best: on random bounds it must agree with scoring everyone."""

import pytest
import torch

from neuronlab.attribution.best_first import CERTIFIED, Level, Proof, best_first


class Search:
    """Candidates with random scores, and looks at them that get closer, level by level."""

    def __init__(self, exact, levels, slack, seed=0, steps=(40, 17, 5)):
        draw = torch.Generator().manual_seed(seed)
        noise = torch.rand(levels, len(exact), generator=draw) * slack
        # The first row is the loosest: all the noise; at the last level none is left.
        self.exact = exact
        self.rows = [exact + noise[i:].sum(0) for i in range(levels)] + [exact]
        self.steps = steps
        self.asked = [[] for _ in range(levels)]

    @property
    def bounds(self):
        return self.rows[0]

    def levels(self):
        return [self._level(i) for i in range(len(self.rows) - 1)]

    def _level(self, i):
        def score(chosen):
            assert 0 < len(chosen) <= self.steps[i]
            self.asked[i] += chosen.tolist()
            return self.rows[i + 1][chosen]

        return Level(score, self.steps[i])

    def run(self, count, **options):
        return best_first(self.bounds, self.levels(), count, **options)


def scores(number, seed, spread=1.0):
    return spread * torch.randn(number, generator=torch.Generator().manual_seed(seed))


def proven(search, proof, count):
    """Everything that a search promises, against all exact scores."""
    exact = search.exact
    best = exact.topk(min(count, len(exact))).values
    highest = proof.scores.topk(min(count, len(exact))).values
    assert torch.equal(highest, best)
    assert torch.equal(proof.scores, exact[proof.rescored])
    assert torch.equal(proof.every[proof.rescored], proof.scores)
    assert torch.equal(proof.bounds, search.bounds)
    assert len(proof.rescored.unique()) == len(proof.rescored)
    # Nobody is looked at twice, and those with a score are those that were asked for it.
    for asked in search.asked:
        assert len(set(asked)) == len(asked)
    assert set(search.asked[-1]) == set(proof.rescored.tolist())
    others = torch.ones(len(exact), dtype=torch.bool)
    others[proof.rescored] = False
    tolerance = 2e-5 * float(search.bounds.abs().max())
    assert (proof.every[others] >= exact[others]).all()
    assert (proof.every[others] <= search.bounds[others]).all()
    assert (proof.every[others] <= best[-1] + tolerance).all()


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 50, 299, 300])
@pytest.mark.parametrize("slack", [0.0, 0.05, 1.0, 20.0])
def test_what_is_proven_is_what_scoring_everyone_finds(levels, count, slack):
    for seed in range(6):
        search = Search(scores(300, seed), levels, slack, seed)
        proven(search, search.run(count), count)


@pytest.mark.parametrize("steps", [(1, 1, 1), (1, 300, 2), (1000, 3, 1), (5, 5, 1000)])
@pytest.mark.parametrize("count", [1, 20])
def test_how_many_are_looked_at_together_does_not_matter(steps, count):
    search = Search(scores(200, 3), 3, 0.3, steps=steps)
    proven(search, search.run(count), count)


@pytest.mark.parametrize("spread", [1e-6, 1e6])
def test_the_unit_of_the_scores_does_not_matter(spread):
    search = Search(scores(200, 4, spread), 2, 0.2 * spread)
    proven(search, search.run(10), 10)
    assert len(search.asked[-1]) < 200


def test_all_negative_scores():
    search = Search(-scores(200, 5).abs() - 3, 2, 0.5)
    proven(search, search.run(10), 10)


def test_tight_bounds_save_most_of_the_work():
    search = Search(scores(5000, 1), 2, 0.01)
    proof = search.run(20)
    proven(search, proof, 20)
    assert len(proof.rescored) < 200
    assert len(search.asked[0]) < 400


def test_loose_bounds_cost_more_than_tight_ones():
    work = []
    for slack in (0.0, 0.1, 1.0, 50.0):
        search = Search(scores(1000, 2), 2, slack)
        work.append(len(search.run(10).rescored))
    assert work == sorted(work)
    assert work[0] < 100
    assert work[-1] > 800


def test_a_coarse_level_spares_the_fine_one():
    """With first bounds that say nothing, the closer bounds decide who is scored exactly."""
    exact = scores(1000, 6)
    search = Search(exact, 2, 0.0, steps=(100, 5))
    search.rows = [torch.full_like(exact, 100.0), exact + 0.01, exact]
    proof = search.run(10)
    proven(search, proof, 10)
    assert len(search.asked[0]) == 1000
    assert len(proof.rescored) < 150


def test_more_than_there_are_gives_all():
    for number in (1, 2, 60):
        search = Search(scores(number, 7), 2, 1.0)
        proof = search.run(CERTIFIED * 10)
        proven(search, proof, CERTIFIED * 10)
        assert len(proof.rescored) == number


@pytest.mark.parametrize("count", [1, 3, 25, 100])
def test_ties(count):
    """Many equal scores, and equal bounds: as many as wanted are there, of the right score."""
    exact = (torch.arange(120) % 4).float()
    for slack in (0.0, 2.0):
        search = Search(exact, 2, slack)
        search.rows = [row.round() if slack else row for row in search.rows]
        search.rows = [torch.maximum(row, exact) for row in search.rows]
        proven(search, search.run(count), count)


def test_all_the_same():
    for value in (0.0, -2.5):
        search = Search(torch.full((90,), value), 1, 0.0)
        proof = search.run(5)
        proven(search, proof, 5)
        assert (proof.scores == value).all()


def test_rounding_of_a_bound_costs_no_candidate_its_place():
    """The best one has the lowest bound, below all scores: by as little as float32 rounds."""
    exact = torch.full((50,), 10.0)
    exact[20] += 5e-5
    search = Search(exact, 1, 0.0, steps=(4,))
    search.rows[0] = torch.full((50,), 10.00001)
    search.rows[0][20] = 9.99999
    assert float(search.run(1).scores.max()) == float(exact[20])


def test_a_search_is_stopped_by_its_check():
    search = Search(scores(300, 8), 2, 50.0)
    calls = []

    def check():
        calls.append(len(search.asked[0]))
        if len(calls) == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        search.run(10, check=check)
    assert len(calls) == 4
    assert len(search.asked[0]) < 300
    # it is asked before every look
    again = Search(scores(300, 8), 2, 50.0)
    looks = []
    again.run(10, check=lambda: looks.append((len(again.asked[0]), len(again.asked[1]))))
    steps = [
        (b[0] - a[0]) + (b[1] - a[1])
        for a, b in zip(looks, [*looks[1:], tuple(map(len, again.asked))], strict=True)
    ]
    assert all(0 <= step <= max(again.steps) for step in steps)
    assert sum(steps) == len(again.asked[0]) + len(again.asked[1])


def test_the_bounds_given_stay_as_they_were():
    search = Search(scores(100, 9), 2, 1.0)
    before = search.bounds.clone()
    proof = search.run(10)
    assert isinstance(proof, Proof)
    assert torch.equal(search.bounds, before)
    assert not torch.equal(proof.every, before)


def test_the_highest_bounds_come_first():
    search = Search(scores(400, 10), 1, 0.5, steps=(10,))
    search.run(10)
    first = search.asked[0][:10]
    assert first == search.bounds.argsort(descending=True)[:10].tolist()
