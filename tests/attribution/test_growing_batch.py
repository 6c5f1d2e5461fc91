"""All paths in one batch against one pass of the whole model for each of them."""

import pytest
import torch

from neuronlab.attribution.growing_batch import GrowingBatch, Path
from neuronlab.models import ALL_COMPONENTS

NEURONS = tuple(c for c in ALL_COMPONENTS if c != "residual")
ALPHAS = (0.0, 0.3, 0.8)


def objective(target):
    return lambda logits: logits.log_softmax(-1)[:, target]


def batch_of(model, prompt, *, everywhere):
    encoded = model.encode(prompt)
    return encoded, GrowingBatch(model, encoded, objective(encoded.target), everywhere=everywhere)


def alone(model, encoded, at, rows, place):
    """Value and gradient with a place's neurons set, by the whole model and nothing shared."""
    leaf = rows.clone().requires_grad_()

    def put(neurons):
        changed = neurons.clone()
        changed[:, place] = leaf
        return changed

    with torch.enable_grad(), model.edit({at: put}):
        hidden = model.hidden(encoded.input_ids.expand(len(rows), -1), encoded.position)
        values = objective(encoded.target)(model.logits(hidden))
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient


@pytest.mark.parametrize("everywhere", [False, True], ids=["predicted", "all"])
def test_every_row_is_what_a_pass_of_its_own_gives(model, asked, everywhere):
    encoded, batch = batch_of(model, asked(model), everywhere=everywhere)
    place = slice(None) if everywhere else slice(encoded.position, encoded.position + 1)
    seen = model.read(encoded, NEURONS)
    torch.manual_seed(0)
    baselines = {at: 0.1 * torch.randn_like(results[0, place]) for at, results in seen.items()}
    clean, results = batch.run([Path(at, ALPHAS, baselines[at]) for at in seen])
    for at, neurons in seen.items():
        end, baseline = neurons[0, place], baselines[at]
        rows = torch.stack([baseline + alpha * (end - baseline) for alpha in (*ALPHAS, 1.0)])
        values, gradients = alone(model, encoded, at, rows, place)
        scale = float(gradients.abs().max())
        of_path = results[at]
        assert of_path.gradients.shape == (len(ALPHAS), *end.shape)
        assert torch.allclose(of_path.values, values[:-1], atol=1e-5)
        assert clean == pytest.approx(float(values[-1]), abs=1e-5)
        assert torch.allclose(of_path.gradients, gradients[:-1], atol=1e-4 * scale + 1e-7)
        assert torch.allclose(of_path.clean_gradient, gradients[-1], atol=1e-4 * scale + 1e-7)
        # The clean neurons are told wherever anything depends on them.
        matter = gradients[-1] != 0
        assert matter.any() or scale < 1e-6
        assert torch.allclose(of_path.clean[matter], end[matter], atol=1e-5)


def test_a_path_alone_gives_what_it_gives_among_others(model, asked):
    encoded, batch = batch_of(model, asked(model), everywhere=True)
    paths = [Path(at, ALPHAS) for at in model.read(encoded, NEURONS)]
    _, together = batch.run(paths)
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):
        _, by_itself = batch.run([path])
        mine, among = by_itself[path.at].gradients, together[path.at].gradients
        assert torch.allclose(mine, among, atol=1e-5 * float(among.abs().max()) + 1e-8)
        assert torch.allclose(by_itself[path.at].values, together[path.at].values, atol=1e-6)


def test_the_last_block_goes_on_with_the_token_that_is_read(tiny, asked):
    """The others' FFN is not computed, though all their neurons are asked about."""
    model = tiny("esm", "classifier")
    _, batch = batch_of(model, asked(model), everywhere=True)
    lengths = []
    last = model.block(model.layers - 1).intermediate
    hook = last.register_forward_hook(lambda *now: lengths.append(now[2].shape[1]))
    _, results = batch.run([Path((model.layers - 1, "ffn"), ALPHAS)])
    hook.remove()
    assert lengths == [1]
    gradient = results[model.layers - 1, "ffn"].gradients
    assert gradient.shape[1] > 1
    assert gradient[:, 0].abs().max() > 0
    assert (gradient[:, 1:] == 0).all()
