"""One fact, many languages: the neurons it rests on in all of them (arXiv 2308.13198)."""

from functools import partial

from neuronlab import examples
from neuronlab.errors import UserError
from neuronlab.models.catalogue import EMBEDDED
from neuronlab.widgets import facts_form, sections, shown
from neuronlab.widgets.guard import complain
from pages.languages import editing
from pages.languages.form import form
from pages.languages.shared_neurons import results

VIEWS = {
    "language_independent": "Neurons in common",
    "cross_lingual_editing": "Edit in one, measure in all",
}


def main() -> None:
    study = sections.view(VIEWS)
    draw = editing.results if study == "cross_lingual_editing" else results
    if shown.stored(study, draw):
        return
    several = next(model.title for model in EMBEDDED if len(model.use.languages) > 1)
    model = facts_form.language_model(f" {several} knows several languages.")
    if model is None:
        return
    spec = None
    try:
        spec = form(model, study)
        if spec is not None:
            spec.groups()
    except UserError as error:
        complain(str(error))
        spec = None
    shown.study(study, model, spec, partial(draw, model), first=examples.first(study, model))


main()
