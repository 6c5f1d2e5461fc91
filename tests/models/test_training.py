"""The loop that tuning and the simulator share; what they make of it is in their own tests."""

import numpy as np
import pytest
import torch

from neuronlab.models import training
from neuronlab.runs import Cancelled


class Line(torch.nn.Linear):
    """y = a x + b, with something drawn at every step, as dropout does."""

    device = torch.device("cpu")

    def forward(self, x):
        return super().forward(x) + (torch.randn(()) if self.training else 0)


def trained(looked=(), *, seed=0, check=lambda: None, **changes):
    hf = Line(1, 1)
    for weight in hf.parameters():
        torch.nn.init.constant_(weight, 0.0)
    optimizer = torch.optim.SGD(hf.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    left, weights, heard = list(looked), [], []

    def look():
        weights.append({k: v.clone() for k, v in hf.state_dict().items()})
        return {"quality": left.pop(0)}

    settings = {
        "epochs": 3,
        "batches": lambda: np.split(np.arange(4), 2),
        "loss": lambda batch: (hf(torch.tensor([[1.0]])) - 3).square().sum() * len(batch),
        "looks": {1} if looked else (),
    }
    state = torch.get_rng_state()
    curve, ended = training.train(
        hf,
        optimizer,
        schedule,
        seed=seed,
        look=look,
        report=lambda row, best: heard.append((dict(row), best)),
        check=check,
        **settings | changes,
    )
    assert torch.equal(torch.get_rng_state(), state), "the common source stays as it was"
    return hf, curve, ended, weights, heard


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_every_step_has_a_row_and_some_have_a_look():
    hf, curve, ended, _, heard = trained((1.0, 3.0, 2.0))
    assert [(row["step"], row["epoch"], row.get("quality")) for row in curve] == [
        *((0, 0, None), (1, 0, 1.0), (2, 1, None), (3, 1, 3.0), (4, 2, None), (5, 2, 2.0)),
    ]
    assert [row for row, _ in heard] == curve
    assert {best for _, best in heard} == {-np.inf}
    assert (ended, hf.training) == (False, False)


def test_the_first_of_the_best_looks_stays_and_patience_ends_it():
    hf, curve, ended, weights, heard = trained(
        (1.0, 3.0, 2.0, 3.0, 4.0), epochs=9, best_by="quality", patience=2
    )
    assert (len(curve), ended) == (8, True)
    assert same(hf.state_dict(), weights[1])
    assert [best for _, best in heard] == [-np.inf, *[1.0] * 2, *[3.0] * 5]


def test_without_patience_nothing_ends_it():
    hf, curve, ended, weights, _ = trained((3.0, 2.0, 1.0), best_by="quality")
    assert (len(curve), ended) == (6, False)
    assert same(hf.state_dict(), weights[0])


def test_without_a_measure_the_last_weights_stay():
    hf, _, ended, weights, _ = trained((3.0, 2.0, 1.0))
    assert same(hf.state_dict(), weights[2])
    assert not ended


def test_the_seed_decides_what_is_drawn_on_the_way():
    first, again, other = (trained(seed=seed)[1] for seed in (1, 1, 2))
    assert first == again != other


def test_it_is_cancelled_before_a_step():
    calls = []

    def check():
        calls.append(0)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        trained(check=check)
    assert len(calls) == 3
