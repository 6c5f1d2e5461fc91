"""Adapters change nothing at first, and can be added to the weights afterwards."""

import torch
from torch import nn

from neuronlab.heads.adapters import Adapted, adapt


def blocks():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Sequential(nn.Linear(7, 3)))


def test_a_fresh_adapter_changes_nothing():
    plain, adapted = blocks(), blocks()
    adapt(adapted, 2)
    x = torch.randn(4, 5)
    assert torch.equal(plain(x), adapted(x))
    assert [type(m) for m in adapted.modules()].count(Adapted) == 2


def test_only_the_adapters_learn_and_up_times_down_is_the_change_of_the_weights():
    plain, adapted = blocks(), blocks()
    adapt(adapted, 2)
    learning = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert learning == {"0.down", "0.up", "2.0.down", "2.0.up"}
    optimizer = torch.optim.SGD(adapted.parameters(), lr=0.5)
    x = torch.randn(4, 5)
    for _ in range(3):
        optimizer.zero_grad()
        adapted(x).square().sum().backward()
        optimizer.step()
    parameters = dict(adapted.named_parameters())
    with torch.no_grad():
        for name in ("0", "2.0"):
            change = parameters[f"{name}.up"] @ parameters[f"{name}.down"]
            assert change.abs().max() > 1e-3
            plain.get_submodule(name).weight += change
    torch.testing.assert_close(plain(x), adapted(x))
