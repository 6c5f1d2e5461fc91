"""What the lessons work on: a language model with one prompt, and results that are stored."""

from __future__ import annotations

from dataclasses import replace

from neuronlab import examples
from neuronlab.errors import UserError
from neuronlab.examples import DEFAULT_MODEL
from neuronlab.models import Model, Prompt
from neuronlab.models.catalogue import entry
from neuronlab.neurons import NeuronScores
from neuronlab.runs import Result
from neuronlab.studies.attribution import scores_of
from neuronlab.widgets import services, state


def stored(study: str, model: str = DEFAULT_MODEL) -> Result:
    """What a page opens on: it comes with the project.

    Raises:
        UserError: it does not, and was not computed here either.
    """
    first = examples.first(study, entry(model))
    result = None if first is None else services.finished(first.key)
    if result is None:
        raise UserError("The result that this step shows is not on this server: see the page Runs.")
    return result


def default_model() -> Model:
    """The language model of all lessons."""
    return services.model(DEFAULT_MODEL, state.device())


def capital_prompt() -> Prompt:
    """The sentence of all lessons, with its answer."""
    spec = examples.example(DEFAULT_MODEL)
    return replace(spec.prompt, target=int(stored("attribution").numbers["target"]))


def capital_scores() -> NeuronScores:
    """How much each neuron has to do with that answer."""
    return scores_of(stored("attribution"))
