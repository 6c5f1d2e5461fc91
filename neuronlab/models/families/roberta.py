"""RoBERTa and what is built like it: BERT with another head."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.bert import BERT_PLACES

ROBERTA_PLACES = replace(
    BERT_PLACES,
    head=("lm_head",),
    transform=("lm_head.dense", "lm_head.layer_norm"),
    classifier=("classifier",),
)
ROBERTA = Family(
    name="roberta",
    title="RoBERTa and XLM-R",
    model_types=("roberta", "xlm-roberta", "camembert", "data2vec-text"),
    causal=False,
    first_position=2,  # padding_idx + 1
    places=ROBERTA_PLACES,
)
# The norms are before each half of a block.
XLM_ROBERTA_XL = Family(
    name="xlm_roberta_xl",
    title="XLM-R XL",
    model_types=("xlm-roberta-xl",),
    causal=False,
    first_position=2,
    places=replace(
        ROBERTA_PLACES,
        norm="encoder.LayerNorm",
        input_norms=("attention.self_attn_layer_norm", "LayerNorm"),
        stream_norms=("", ""),
    ),
)
ROBERTA_PRELAYERNORM = Family(
    name="roberta_prelayernorm",
    title="RoBERTa with norms first",
    model_types=("roberta-prelayernorm",),
    causal=False,
    first_position=2,
    places=replace(
        ROBERTA_PLACES,
        norm="LayerNorm",
        input_norms=("attention.LayerNorm", "intermediate.LayerNorm"),
        stream_norms=("", ""),
    ),
)
# Positions are relative, and attention is a computation of its own.
MPNET = Family(
    name="mpnet",
    title="MPNet",
    model_types=("mpnet",),
    causal=False,
    first_position=2,
    interface=False,
    places=replace(
        ROBERTA_PLACES,
        projections=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        output="attention.attn.o",
        stream_norms=("attention.LayerNorm", "output.LayerNorm"),
        attention="",
        sums=("", ""),
    ),
)
