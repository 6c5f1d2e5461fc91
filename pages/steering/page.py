"""Steer the generation of a protein through neurons (arXiv 2507.06458)."""

from functools import partial

from neuronlab.studies.steering import SteeringStudy
from neuronlab.widgets import protein_models, services, shown, state
from pages.steering.form import form
from pages.steering.results import results

STUDY = "steering"


def main() -> None:
    if not protein_models.choose(("masked",), "masked protein model, which fills in residues"):
        return
    model = services.model(state.model_name(), state.device())
    spec = form(model)
    first = SteeringStudy().example(model)
    shown.study(STUDY, model, spec, partial(results, model), first=first)


main()
