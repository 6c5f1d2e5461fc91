"""Integrated gradients of FFN neurons beside the usual loop, over ways of building a transformer.

    python benchmarks/families.py [--only gpt2,t5] [--out families.csv]

Shapes of about a hundred million parameters with the random weights that transformers begins
training with, float32, on one thread of the processor; a prompt of five tokens. The usual loop
(Dai et al. 2022: for each layer full passes forward and backward over 20 scaled copies, and the sum
of their gradients) runs on four layers spread over the depth, times the layers there are. It and
ours take turns, each family in a process of its own; a ratio is the median of the turns'. Seconds
are of the processor, so that other work on the machine counts for little. Both explain the target's
log-probability by the neurons at the predicted position, in an encoder's layers at all. All
components together, those of cross-attention too, are timed once, the loop on two layers. Errors
are of the scores of two layers, as a fraction of their length, in the worse, against 64
Gauss-Legendre nodes. How many nodes a path needs depends on the weights: trained ones need more
than most of these.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).parents[1]
# The tiny models' tokenizers are those of the tests.
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import tiny_models  # noqa: E402
import transformers  # noqa: E402
from on_gpu.speed import reference, usual_loop  # noqa: E402

import neuronlab as nl  # noqa: E402
from neuronlab.attribution.request import Request  # noqa: E402
from neuronlab.models import Model  # noqa: E402
from neuronlab.models.families import family_of  # noqa: E402

TURNS = 3
TEXT = "the capital of France is"
VOCABULARY = 50_000


def _sizes(width: int, ffn: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        **more,
    }


_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 4}
# By model type: what it is made with, and its configuration; the shapes are those of a published
# model where one has that size.
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("causal", _sizes(576, 1536, 30, 9, num_key_value_heads=3)),  # SmolLM2 135M
    "qwen3": ("causal", _sizes(768, 2304, 12, 12, num_key_value_heads=4, head_dim=128)),
    "gemma3_text": ("causal", _sizes(640, 2048, 18, 4, num_key_value_heads=1, head_dim=256)),
    "gpt2": ("causal", {"n_embd": 768, "n_layer": 12, "n_head": 12}),
    "gpt_neox": ("causal", _sizes(768, 3072, 12, 12)),  # Pythia 160M
    "opt": ("causal", _sizes(768, 3072, 12, 12, ffn_dim=3072, word_embed_proj_dim=768)),
    "mixtral": ("causal", _sizes(512, 1024, 8, 8, **_EXPERTS)),
    "bert": ("masked", _sizes(768, 3072, 12, 12)),
    "deberta-v2": ("masked", _sizes(768, 3072, 12, 12, relative_attention=True)),
    "modernbert": ("masked", _sizes(768, 1152, 22, 12)),
    "t5": ("seq2seq", {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_heads": 12}),
    "bart": (
        "seq2seq",
        {"d_model": 768}
        | {f"{stack}_layers": 6 for stack in ("encoder", "decoder")}
        | {f"{stack}_attention_heads": 12 for stack in ("encoder", "decoder")}
        | {f"{stack}_ffn_dim": 3072 for stack in ("encoder", "decoder")},
    ),
}


def build(model_type: str) -> Model:
    """A model of that shape with the weights that training begins with."""
    kind, settings = SHAPES[model_type]
    tokenizer = tiny_models.text_tokenizer(model_type)
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "mask_token_id": tokenizer.mask_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    config = transformers.AutoConfig.for_model(
        model_type, vocab_size=VOCABULARY, **special, **settings
    )
    torch.manual_seed(0)
    hf = tiny_models.AUTO[kind].from_config(config).eval()
    family_of(model_type).fuse(hf)
    return tiny_models.wrap(hf, tokenizer, kind, "text", model_type)


def question(model: Model) -> nl.Prompt:
    """Five tokens and what is asked of them."""
    if model.kind == "masked":  # two are around the text
        return nl.Prompt("capital [MASK] France", target="Paris")
    return nl.Prompt(TEXT, target="Paris", prefix="" if model.kind == "seq2seq" else None)


def measure(model_type: str) -> dict[str, Any]:
    """One family, in this process."""
    torch.set_num_threads(1)
    model = build(model_type)
    asked = question(model)
    options: dict[str, Any] = {"objective": "log_probability"}

    def ours(components: tuple[str, ...] = ("ffn",)) -> nl.NeuronScores:
        return nl.attribute(model, asked, components=components, **options)

    def loop(components: tuple[str, ...], layers: list[int]) -> dict:
        request = Request(model, encoded, encoded.target, components, "log_probability")
        places = [at for at in request.places if at[0] in layers]
        return {at: usual_loop(request, at) for at in places}

    nl.predict(model, asked)
    encoded = model.encode(asked)
    sample = sorted({round(part * (model.layers - 1) / 3) for part in range(4)})
    turns = []
    for _ in range(TURNS):
        seconds, scores = timed(ours)
        loop_seconds, loop_scores = timed(lambda: loop(("ffn",), sample))
        turns.append((seconds, loop_seconds / len(loop_scores) * model.layers))
    request = Request(model, encoded, encoded.target, ("ffn",), "log_probability")
    truth = {(layer, "ffn"): reference(request, (layer, "ffn")) for layer in sample[::2]}
    all_seconds, _ = timed(lambda: ours(model.components))
    some_seconds, of_some = timed(lambda: loop(model.components, sample[1:3]))
    places = len(Request(model, encoded, encoded.target, model.components).places)
    return {
        "type": model_type,
        "parameters": sum(p.numel() for p in model.hf.parameters()),
        "layers": model.layers,
        "nodes": int(scores.quality["nodes"].sum()),
        "seconds": statistics.median(each for each, _ in turns),
        "loop": statistics.median(each for _, each in turns),
        "x": statistics.median(theirs / mine for mine, theirs in turns),
        "turns": sorted(round(theirs / mine, 1) for mine, theirs in turns),
        "error": worst({at: scores["ffn"][at[0]] for at in truth}, truth),
        "loop error": worst({at: loop_scores[at] for at in truth}, truth),
        "all": all_seconds,
        "all x": some_seconds / len(of_some) * places / all_seconds,
    }


def timed(function: Any) -> tuple[float, Any]:
    """Seconds of the processor, and what it gives."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def worst(found: dict, truth: dict) -> float:
    """The largest error of a layer's scores, as a fraction of their length."""
    return max(
        float(np.linalg.norm(found[at] - truth[at]) / np.linalg.norm(truth[at])) for at in truth
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SHAPES), help="model types, with commas between")
    parser.add_argument("--out", type=Path, help="all that was measured, as CSV")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    print(f"torch {torch.__version__}, one thread, float32, {TURNS} turns")
    rows = []
    for model_type in args.only.split(","):
        command = [sys.executable, __file__, "--measure", model_type]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    if args.out:
        table.to_csv(args.out, index=False)
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
