"""Finished examples that pages open on, computed at set-up."""

from __future__ import annotations

from collections.abc import Callable

from neuronlab.models.catalogue import EMBEDDED
from neuronlab.proteins.corpora import CORPORA
from neuronlab.runs import Context, Spec, Store, stored_result
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import AttributionSpec, AttributionStudy

DEFAULT_MODEL = "smollm2-135m"


def example(name: str) -> AttributionSpec:
    """The first example of an embedded model, as a spec."""
    (model,) = (each for each in EMBEDDED if each.name == name)
    return AttributionStudy().example(model)


def opened(name: str) -> list[Spec]:
    """What set-up computes of an embedded model.

    That is its first prompt's attribution, and the examples of all other studies on the first model
    that suits them. What needs proteins that are not on this machine is left out.
    """
    specs: list[Spec] = [example(name)]
    for study in STUDIES.values():
        if study.name == AttributionSpec.study:
            continue
        examples = ((model.name, study.example(model)) for model in EMBEDDED)
        suited, spec = next((each for each in examples if each[1] is not None), ("", None))
        if spec is not None and suited == name:
            specs.append(spec)
    return [spec for spec in specs if _has_proteins(spec)]


def _has_proteins(spec: Spec) -> bool:
    corpus = CORPORA.get(getattr(spec, "corpus", ""))
    return corpus is None or corpus.ready


def compute(names: list[str], store: Store, say: Callable[[str], None] = lambda text: None) -> None:
    """Finish the examples of these models that are not in the store yet."""
    for spec in (spec for name in names for spec in opened(name)):
        if store.find(spec.key) is not None:
            continue
        say(f"computing an example of {dict(spec)['model']}: {STUDIES[spec.study].title}")
        stored_result(STUDIES[spec.study], spec, store, Context())
