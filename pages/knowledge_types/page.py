"""Where each kind of knowledge lives, and whether its neurons stay when the words change."""

from neuronlab.runs import Spec
from neuronlab.studies import STUDIES
from neuronlab.studies.knowledge_types import KnowledgeTypesSpec
from neuronlab.studies.stability import StabilitySpec
from neuronlab.widgets import facts_form, shown
from pages.knowledge_types.kinds import kinds
from pages.knowledge_types.stability import other_model, stability

VIEWS = {"knowledge_types": "Kinds of knowledge", "stability": "Stability"}


def main() -> None:
    model = facts_form.language_model()
    if model is None:
        return
    view = shown.view(VIEWS)
    fields = facts_form.draw(view, "knowledge_types", None if view == "knowledge_types" else 6)
    spec: Spec | None = None
    if view == "stability":
        other = other_model(model)
        if fields is not None:
            named = {} if other is None else {"other": other.name, "other_revision": other.revision}
            spec = StabilitySpec(model=model.name, revision=model.revision, **named, **fields)
    elif fields is not None:
        spec = KnowledgeTypesSpec(model=model.name, revision=model.revision, **fields)
    results = stability if view == "stability" else kinds
    shown.study(view, model, spec, results, first=STUDIES[view].example(model))


main()
