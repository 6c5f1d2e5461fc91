"""Finished examples that pages open on: stored with the project, or computed at set-up."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from neuronlab.attribution.streamed import SCORED
from neuronlab.models.catalogue import EMBEDDED
from neuronlab.proteins.corpora import CORPORA
from neuronlab.runs import Context, Spec, Store, stored_result
from neuronlab.steering.generation import MASKED
from neuronlab.steering.goals import Goal
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import AttributionSpec, AttributionStudy

DEFAULT_MODEL = "smollm2-135m"
# Archives as `Store.export` writes them, named by key: see the README beside them.
STORED = Path(__file__).with_name("data")
# Facts that Gemma knows in both languages.
FACTS_IN_LANGUAGES = {"fact": None, "per_relation": 5, "filtered": True}
# What is stored may take minutes: enough facts that intervals mean something. By study and model,
# also of a second model that a page opens on.
LARGE: dict[tuple[str, str], dict[str, Any]] = {
    ("knowledge_types", DEFAULT_MODEL): {"facts": "knowledge_types", "per_relation": 10},
    ("fact_checking", DEFAULT_MODEL): {"facts": "knowledge_types", "per_relation": 20},
    ("method_comparison", DEFAULT_MODEL): {"per_relation": None},
    ("stability", DEFAULT_MODEL): {"facts": "knowledge_types", "per_relation": 6},
    ("language_independent", "gemma3-270m"): FACTS_IN_LANGUAGES,
    ("cross_lingual_editing", "gemma3-270m"): FACTS_IN_LANGUAGES,
    ("mutations", "esm2-8m"): {},
    # What the form of the classifier page begins with.
    ("submodels", "esm2-8m-enzyme"): {
        "methods": SCORED,
        "scored": 60,
        "tested": 110,
        "fractions": (0.5, 0.25, 0.1, 0.01),
        "selections": ("raw", "quota"),
        "ablations": ("mean",),
        "seeds": 5,
        "singles": 20,
    },
    ("steering", "antiberty"): {"chains": 4, "random_sets": 100},
    # Enough sets that p can be below .01, enough chains that the unsteered ones are told apart, and
    # doses to slide over.
    ("steering", "esm2-8m"): {
        "goals": (Goal(property="predicted_helix"),),
        "a": 2.0,
        "b": 0.5,
        "chains": 8,
        "steps": 15,
        "masked": MASKED,
        "random_sets": 100,
        "dose_a": (1.0, 2.0, 3.0),
        "dose_b": (0.0, 0.5, 1.0),
        "dose_steps": 15,
    },
    # What the labels are made from is what people look at.
    ("contexts", DEFAULT_MODEL): {"limit": 10_000},
    ("token_labels", DEFAULT_MODEL): {"limit": 10_000},
    ("neuron_labels", "esm2-8m"): {"limit": None, "held_out": 500, "per_layer": None},
}


def example(name: str) -> AttributionSpec:
    """The first example of an embedded model, as a spec."""
    (model,) = (each for each in EMBEDDED if each.name == name)
    spec = AttributionStudy().example(model)
    assert spec is not None  # each predicts something
    return spec


def first(study: str, model: Any) -> Spec | None:
    """What a page opens on: the large example of a model if it is stored, else a small one.

    Args:
        study: its name.
        model: an ``Entry`` of the catalogue, or a ``Model``.

    Returns:
        None where the model does not suit the study.
    """
    small = STUDIES[study].example(model)
    return None if small is None else _first_of(small)


def _first_of(small: Spec) -> Spec:
    large = large_of(small)
    return large if large.key in stored_keys() else small


def large_of(small: Spec) -> Spec:
    """The example that is stored where the small one is of a study and model in `LARGE`."""
    fields = dict(small)
    # Some studies are of several models.
    return type(small)(**{**fields, **LARGE.get((small.study, fields.get("model", "")), {})})


@cache
def stored_keys() -> frozenset[str]:
    """The results that are stored with the project."""
    return frozenset(path.stem for path in STORED.glob("*.zip"))


def adopt(key: str, store: Store) -> bool:
    """Put a result that is stored with the project into a store; False where there is none."""
    if key not in stored_keys():
        return False
    store.adopt(key, STORED / f"{key}.zip")
    return True


def opened(name: str) -> list[Spec]:
    """What pages open on of an embedded model.

    That is its first prompt's attribution, and the examples of all other studies on the first model
    that suits them. What needs proteins that are not on this machine is left out, unless it is
    stored.
    """
    specs = [_first_of(small) for small in smalls(name)]
    return [spec for spec in specs if spec.key in stored_keys() or _has_proteins(spec)]


def smalls(name: str) -> list[Spec]:
    """The small examples of an embedded model: see ``opened``."""
    specs: list[Spec] = [example(name)]
    for study in STUDIES.values():
        if study.name == AttributionSpec.study:
            continue
        examples = ((model.name, study.example(model)) for model in EMBEDDED)
        suited, spec = next((each for each in examples if each[1] is not None), ("", None))
        if spec is not None and suited == name:
            specs.append(spec)
    return specs


def _has_proteins(spec: Spec) -> bool:
    read = [getattr(each, "corpus", "") for each in (spec, *dict(spec).get("labels", ()))]
    return all(CORPORA[name].ready for name in read if name in CORPORA)


def compute(names: list[str], store: Store, say: Callable[[str], None] = lambda text: None) -> None:
    """Put what is stored into the store, and finish the other examples of these models."""
    for key in stored_keys():
        adopt(key, store)
    for spec in (spec for name in names for spec in opened(name)):
        if store.find(spec.key) is not None:
            continue
        of = dict(spec).get("model", "several models")
        say(f"computing an example of {of}: {STUDIES[spec.study].title}")
        stored_result(STUDIES[spec.study], spec, store, Context())
