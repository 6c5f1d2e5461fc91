"""Where each kind of knowledge lives, and whether its neurons stay when the words change."""

from neuronlab import examples
from neuronlab.studies.knowledge_types import KnowledgeTypesSpec
from neuronlab.studies.stability import StabilitySpec
from neuronlab.widgets import facts_form, sections, shown, suited
from pages.knowledge_types.kinds import kinds, without_heads
from pages.knowledge_types.stability import other_model, stability

VIEWS = {"knowledge_types": "Kinds of knowledge", "stability": "Stability"}


def main() -> None:
    model = facts_form.language_model()
    if model is None or not suited.of_one_stream(model):
        return
    view = sections.view(VIEWS)
    fields = facts_form.draw(view, "knowledge_types", 10 if view == "knowledge_types" else 6)
    asked = {"model": model.name, "revision": model.revision}
    first = examples.first(view, model)
    if view == "stability":
        other = other_model(model)
        if other is not None:
            asked |= {"other": other.name, "other_revision": other.revision}
        again = None if fields is None else StabilitySpec(**asked, **fields)
        shown.study(view, model, again, stability, first=first)
    else:
        spec = None if fields is None else KnowledgeTypesSpec(**asked, **fields)
        shown.study(view, model, spec, kinds, first=first, preview=without_heads)


main()
