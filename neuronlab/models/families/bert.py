"""BERT and the encoders built like it."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places

# The stream is normed after each half of a block, so that nothing follows the last one.
BERT_PLACES = Places(
    blocks="encoder.layer",
    norm="",
    projections=("attention.self.query", "attention.self.key", "attention.self.value"),
    output="attention.output.dense",
    down="output.dense",
    inputs={"input": "intermediate.dense"},
    input_norms=("", ""),
    stream_norms=("attention.output.LayerNorm", "output.LayerNorm"),
    attention="attention.self",
    sums=("attention.output", "output"),
    head=("cls.predictions",),  # behind those of pretraining stands another
    transform=("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
    classifier=("base_model.pooler", "classifier"),
)
BERT = Family(
    name="bert",
    title="BERT",
    model_types=("bert", "ernie"),
    causal=False,
    places=BERT_PLACES,
)
ELECTRA = Family(
    name="electra",
    title="ELECTRA",
    model_types=("electra",),
    causal=False,
    places=replace(
        BERT_PLACES,
        head=("generator_predictions", "generator_lm_head"),
        transform=("generator_predictions.dense", "generator_predictions.LayerNorm"),
        classifier=("classifier",),
    ),
)
