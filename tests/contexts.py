"""The context in which a study computes on a model of the test, and a run in it."""

from neuronlab.runs import Context, Result, Spec, Store, run_study
from neuronlab.studies import STUDIES


def context_with(model, device="cpu", **options):
    """Whatever name a study asks for, it gets this model; of a dictionary the one of that name."""

    def load(name, device, revision):
        return model[name] if isinstance(model, dict) else model

    return Context(device, load=load, **options)


def run(model, spec: Spec, folder, **options) -> Result:
    """The spec's study on this model; its parts are stored in the folder."""
    return run_study(STUDIES[spec.study], spec, Store(folder), context_with(model, **options))
