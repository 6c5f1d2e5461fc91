"""Llama and the families built like it: Mistral, Qwen2 and Qwen3, grouped queries included."""

from neuronlab.models.families.base import GatedDecoder


class Llama(GatedDecoder):
    """Key and value neurons of grouped-query models are fewer: one set per key-value head."""

    name = "llama"
    title = "Llama (with Mistral, Qwen2 and Qwen3)"
    model_types = ("llama", "mistral", "qwen2", "qwen3")
