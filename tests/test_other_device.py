"""The whole core on a device that is not the processor; a GPU's own tests are in ``benchmarks``."""

import pytest
import torch
from on_gpu import correct
from other_device import other_device
from tiny_models import TINY, build, twin

# Threads are out of reach of what makes the device.
CHECKS = [name for name in correct.CHECKS if name != "two at once"]
# One of each way in which families differ; the others take minutes.
QUICK = [("esm", "classifier")]


@pytest.mark.long
@pytest.mark.parametrize(
    "pair",
    [*QUICK, *(pytest.param(p, marks=pytest.mark.slow) for p in TINY if p not in QUICK)],
    ids="-".join,
)
def test_every_method_and_intervention_computes_there_what_the_processor_does(pair, tmp_path):
    reference = build(*pair, tmp_path)
    with other_device() as device:
        model = twin(reference, torch.float32, device)
        assert model.device.type == device
        ran = 0
        for name in CHECKS:
            if correct.suits(name, model):
                assert correct.CHECKS[name](reference, model) <= 1e-4, name
                ran += 1
        assert ran >= 15


def test_the_device_is_as_strict_as_a_gpu():
    here = torch.ones(3)
    with other_device() as device:
        there = torch.ones(3, device=device)
        assert there.device.type == device
        assert float((2 * there).sum()) == 6.0
        assert there[[0, 2]].tolist() == [1.0, 1.0]
        assert there.to("cpu").sum() == 3.0
        with pytest.raises(RuntimeError, match="two devices"):
            there + here
        with pytest.raises(RuntimeError, match="two devices"):
            torch.stack([there, here])
        with pytest.raises(RuntimeError, match="two devices"):
            there[torch.tensor([0, 1])] = torch.zeros(2)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with pytest.raises(RuntimeError, match="generator"):
            torch.rand(3, device=device, generator=torch.Generator(device="cpu"))
