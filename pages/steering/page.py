"""Steer the generation of a protein through neurons (arXiv 2507.06458)."""

from neuronlab.attribution.estimate import duration
from neuronlab.models import Model
from neuronlab.studies import STUDIES
from neuronlab.studies.examples import small_steering
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import protein_models, services, shown, state
from neuronlab.widgets.guard import guard
from pages.steering.form import form
from pages.steering.results import results

STUDY = "steering"


def main() -> None:
    if not protein_models.choose(("masked",), "masked protein model, which fills in residues"):
        return
    model = services.model(state.model_name(), state.device())
    spec = form(model)
    shown.run_button(spec, lambda asked: cost(model, asked))
    first = small_steering(model.name, model.revision)
    finished = shown.finished(STUDY, model.name, spec, first)
    if finished is not None:
        with guard():
            results(model, *finished)


def cost(model: Model, spec: SteeringSpec) -> str:
    """What a run will take."""
    return f"About {duration(STUDIES[STUDY].seconds(model, spec))}, structures aside."


main()
