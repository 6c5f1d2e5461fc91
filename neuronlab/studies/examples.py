"""Finished examples that pages open on, computed at set-up."""

from __future__ import annotations

from collections.abc import Callable

from neuronlab.models.catalogue import EMBEDDED, entry
from neuronlab.proteins.corpora import CORPORA
from neuronlab.runs import Context, Spec, Store, stored_result
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import AttributionSpec

DEFAULT_MODEL = "smollm2-135m"


def example(name: str) -> AttributionSpec:
    """The first example of an embedded model, as a spec."""
    return STUDIES["attribution"].example(entry(name))


def opened(name: str) -> list[Spec]:
    """What set-up computes of an embedded model.

    That is its first prompt's attribution, and the examples of all other studies on the first model
    that suits them. What needs proteins that are not on this machine is left out.
    """
    specs: list[Spec] = [example(name)]
    for study in STUDIES.values():
        suited = next((model for model in EMBEDDED if study.example(model)), None)
        if study.name != AttributionSpec.study and suited is not None and suited.name == name:
            specs.append(study.example(suited))
    return [spec for spec in specs if _has_proteins(spec)]


def _has_proteins(spec: Spec) -> bool:
    corpus = CORPORA.get(getattr(spec, "corpus", ""))
    return corpus is None or corpus.ready


def compute(names: list[str], store: Store, say: Callable[[str], None] = lambda text: None) -> None:
    """Finish the examples of these models that are not in the store yet."""
    for spec in (spec for name in names for spec in opened(name)):
        if store.find(spec.key) is not None:
            continue
        say(f"computing an example of {spec.model}: {STUDIES[spec.study].title}")
        stored_result(STUDIES[spec.study], spec, store, Context())
