"""The context in which a study computes on a model of the test."""

from neuronlab.runs import Context


def context_with(model, device="cpu", **options):
    """Whatever name a study asks for, it gets this model; of a dictionary the one of that name."""

    def load(name, device, revision):
        return model[name] if isinstance(model, dict) else model

    return Context(device, load=load, **options)
