"""What is asked of the model: text or protein, target, method; it ends in a spec."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.attribution import METHODS, Method, method
from neuronlab.attribution.request import TOLERANCE
from neuronlab.errors import UserError
from neuronlab.figures.charts import visible
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import MASK, Model, Prompt
from neuronlab.models.prompt import joined
from neuronlab.models.residues import clean_sequence
from neuronlab.neurons import predict
from neuronlab.proteins.backbones import backbone
from neuronlab.proteins.sequences import MAX_FASTA_BYTES, read_fasta
from neuronlab.studies.attribution import AttributionSpec, default_positions
from neuronlab.studies.bases.prompts import prompts
from neuronlab.widgets import state, structure
from neuronlab.widgets.guard import complain, doubted, plain

_POSITIONS = {"predicted": "predicted position", "all": "all positions"}
_OBJECTIVES = {
    "probability": "probability",
    "log_probability": "log-probability",
    "logit": "logit",
}
_BASELINES = {
    "zero": "all neurons at zero",
    "input": "an uninformative input",
    "mean": "the mean over replaced tokens",
}
_VARIANTS = {"sound": "sound: complete", "authors": "as the authors wrote it"}
_TOLERANCES = (TOLERANCE, 0.01, 0.002)


def fill(spec: dict[str, Any]) -> None:
    """Put a spec's inputs into its model's form, before the widgets are drawn.

    What the spec does not say stays as the form has it, or as it is by default.
    """
    forms = st.session_state.setdefault("forms", {})
    form = forms.get(spec["model"]) or AttributionSpec(
        model=spec["model"], text=spec["text"]
    ).model_dump(exclude={"revision"})
    values = {name: spec[name] for name in form if name in spec}
    forms[spec["model"]] = form | values | {"typed": spec["text"]}
    st.session_state["form_version"] = st.session_state.get("form_version", 0) + 1


def draw(model: Model) -> AttributionSpec | None:
    """The form; returns the spec it stands for, or None with a message where it is not one."""
    asked = ask(model)
    form = _form(model)
    settings = _settings(model, form)
    # Streamlit forgets a widget that is not drawn, on another page or beside a mistake.
    form |= settings
    if not settings["components"]:
        complain("Choose at least one component.")
        return None
    if asked is None:
        return None
    return AttributionSpec(model=model.name, revision=model.revision, **asked, **settings)


def ask(model: Model) -> dict[str, Any] | None:
    """Prompt and target alone: text, mask and target; None with a message where it is neither."""
    form = _form(model)
    try:
        prompt = _protein(model, form) if model.alphabet == "protein" else _text(model, form)
        target = _target(model, prompt, form)
    except UserError as error:
        complain(str(error))
        return None
    asked = {"text": prompt.text, "mask": prompt.mask, "target": target}
    form |= asked
    return asked


def _form(model: Model) -> dict[str, Any]:
    """What was put in for this model, or its first example; `typed` is text as it was typed."""
    forms = st.session_state.setdefault("forms", {})
    if model.name not in forms:
        _start(model, next(iter(_examples(model))))
    return forms[model.name]


def _examples(model: Model) -> dict[str, dict]:
    return prompts(model.name, model.kind, model.alphabet)


def _start(model: Model, example: str) -> None:
    chosen = {"mask": None, "target": None} | _examples(model)[example]
    positions = default_positions(model.kind)
    fill(AttributionSpec(model=model.name, positions=positions, **chosen).model_dump())


def _key(name: str) -> str:
    """Widgets start afresh when the form is filled from an example or a link, and for each model:
    one model's settings are not another's.
    """
    return f"{name}_{st.session_state['form_version']}_{state.model_name()}"


def _pick_example(model: Model) -> None:
    names = list(_examples(model))
    key = f"example_{model.name}"

    def use() -> None:
        if st.session_state[key]:
            _start(model, st.session_state[key])

    st.selectbox(
        "Examples",
        names,
        index=None,
        placeholder="Start from an example",
        key=key,
        on_change=use,
        label_visibility="collapsed",
    )


def _text(model: Model, form: dict[str, Any]) -> Prompt:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with right:
        _pick_example(model)
    help_ = f"Put {MASK} where the hidden word is." if model.kind == "masked" else None
    with left:
        text = st.text_area(
            "Prompt",
            form["typed"],
            key=_key("text"),
            height=68,
            help=help_,
            max_chars=20_000,
            placeholder="The capital of France is",
        )
    form["typed"] = text
    return Prompt(text)


def _protein(model: Model, form: dict[str, Any]) -> Prompt:
    left, right = st.columns([3, 1])
    with right:
        _pick_example(model)
        _pick_known(model, form)
        _fasta(form)
    with left:
        text = st.text_area(
            "Protein, one-letter codes", form["typed"], key=_key("text"), height=110
        )
    form["typed"] = text
    sequence = clean_sequence(text, model.residues)
    doubted(sequence)
    if model.kind != "masked":
        return Prompt(sequence)
    start = min(form["mask"] or 0, len(sequence) - 1)
    place = st.slider(
        "Residue to hide and predict",
        1,
        max(len(sequence), 2),
        start + 1,
        key=_key(f"mask_{len(sequence)}"),
        help="Counted from 1. The model sees a mask there and predicts the residue.",
    )
    return Prompt(sequence, mask=min(place, len(sequence)) - 1)


def _pick_known(model: Model, form: dict[str, Any]) -> None:
    names = structure.known_to(model)
    key = f"known_{model.name}"

    def use() -> None:
        if st.session_state[key]:
            sequence = backbone(st.session_state[key]).sequence
            fill(form | {"text": sequence, "target": None, "mask": 0})

    if names:
        st.selectbox(
            structure.KNOWN,
            list(names),
            index=None,
            placeholder=structure.KNOWN,
            format_func=names.__getitem__,
            key=key,
            on_change=use,
            label_visibility="collapsed",
        )


def _fasta(form: dict[str, Any]) -> None:
    with st.popover("Upload FASTA", icon=":material/upload:", width="stretch"):
        file = st.file_uploader(
            "FASTA",
            type=["fasta", "fa", "faa", "txt"],
            max_upload_size=MAX_FASTA_BYTES // 1_000_000,
        )
        if file is None:
            return
        try:
            proteins = read_fasta(file.getvalue())
        except UserError as error:
            complain(str(error))
            return
        chosen = st.selectbox(
            f"{len(proteins)} sequences",
            range(len(proteins)),
            format_func=lambda i: f"{proteins[i].name[:60]} ({len(proteins[i].sequence)})",
        )

        def use() -> None:
            asked = {"text": proteins[chosen].sequence, "target": None, "mask": 0}
            fill(form | asked)

        st.button("Use this sequence", on_click=use)


@st.cache_data(max_entries=256, show_spinner=False)
def top_choices(
    _model: Model, name: str, revision: str, text: str, mask: int | None, count: int = 10
) -> pd.DataFrame:
    """The model's most probable choices for a prompt; cached for all sessions."""
    return predict(_model, Prompt(text, mask=mask)).top(count)


def _target(model: Model, prompt: Prompt, form: dict[str, Any]) -> str | int:
    """The target as a spec holds it: its text where that is unambiguous, else its index."""
    count = len(model.residues) if model.alphabet == "protein" else 10
    top = top_choices(model, model.name, model.revision, prompt.text, prompt.mask, count)
    probability = dict(zip(top["index"], top["probability"], strict=True))
    options: list[int | str] = list(probability)
    first = options[0]
    if model.alphabet == "protein" and prompt.mask is not None:
        # What the residue is, is the natural question about it.
        truth = prompt.text[prompt.mask]
        first = model.tokenizer.convert_tokens_to_ids(truth)
    if prompt.text == form["text"] and prompt.mask == form["mask"] and form["target"] is not None:
        first = _index(model, prompt, form["target"])
    if first not in options:
        options.insert(0, first)

    def words(choice: int | str) -> str:
        if isinstance(choice, str):
            return choice
        share = f"  {probability[choice]:.1%}" if choice in probability else ""
        return f"{visible(model.label(choice))}{share}"

    digest = hashlib.sha256(f"{prompt.text}|{prompt.mask}".encode()).hexdigest()[:12]
    chosen = st.selectbox(
        "Class to explain" if model.kind == "classifier" else "Target to explain",
        options,
        index=options.index(first),
        format_func=words,
        key=_key(f"target_{digest}"),
        accept_new_options=model.kind != "classifier",
        help="The model's first choices; or type another word."
        if model.kind != "classifier"
        else None,
    )
    if isinstance(chosen, str):
        text = model.kind == "causal" and model.alphabet == "text"
        typed = joined(prompt.text, chosen) if text else chosen
        encoded = model.encode(Prompt(prompt.text, target=typed, mask=prompt.mask))
        if encoded.note:
            st.caption(plain(encoded.note))
        chosen = encoded.target
    assert chosen is not None  # there is always a first choice
    return _written(model, prompt, chosen)


def _index(model: Model, prompt: Prompt, target: str | int) -> int:
    index = model.encode(Prompt(prompt.text, target=target, mask=prompt.mask)).target
    assert index is not None  # the prompt names a target
    return index


def _written(model: Model, prompt: Prompt, index: int) -> str | int:
    """A target's text, if reading it gives the same token again."""
    if model.kind == "classifier":
        return index
    text = model.token(index)
    try:
        return text if _index(model, prompt, text) == index else index
    except UserError:
        return index


def _settings(model: Model, form: dict[str, Any]) -> dict[str, Any]:
    first, second, third, fourth = st.columns([1.6, 2.4, 1.5, 0.9], vertical_alignment="bottom")
    names = list(METHODS)
    with first:
        name = st.selectbox(
            "Method",
            names,
            index=names.index(form["method"]),
            format_func=lambda n: METHODS[n].title,
            key=_key("method"),
            help="; ".join(f"{m.title}: {m.summary} Cost: {m.cost}" for m in METHODS.values()),
        )
    chosen = method(name)
    with second:
        components = st.pills(
            "Components",
            chosen.components,
            selection_mode="multi",
            default=[c for c in form["components"] if c in chosen.components]
            or chosen.default_components,
            format_func=COMPONENT_NAMES.__getitem__,
            key=_key(f"components_{'_'.join(chosen.components)}"),
            wrap=True,
        )
    places = [p for p in _POSITIONS if p == "predicted" or chosen.everywhere]
    with third:
        positions = st.selectbox(
            "Neurons at",
            places,
            index=places.index(form["positions"]) if form["positions"] in places else 0,
            format_func=_POSITIONS.__getitem__,
            key=_key("positions" if chosen.everywhere else "position"),
            help="Scores over all positions are summed; the top neurons keep one per token.",
        )
    settings = {"method": name, "components": tuple(components), "positions": positions}
    with fourth, st.popover("More", icon=":material/tune:", width="stretch"):
        more = _more(chosen, form)
        if not more:
            st.caption("This method has no further settings.")
    return settings | more


def _more(chosen: Method, form: dict[str, Any]) -> dict[str, Any]:
    """What few people change, as far as the method has it."""
    settings: dict[str, Any] = {}
    if chosen.differentiates:
        settings["objective"] = st.selectbox(
            "Explain the target's",
            list(_OBJECTIVES),
            index=list(_OBJECTIVES).index(form["objective"]),
            format_func=_OBJECTIVES.__getitem__,
            key=_key("objective"),
        )
    if chosen.integrates:
        settings |= _path(chosen, form)
    if len(chosen.variants) > 1:
        settings["variant"] = st.selectbox(
            "Form",
            chosen.variants,
            index=chosen.variants.index(form["variant"]),
            format_func=_VARIANTS.__getitem__,
            key=_key("variant"),
            help="The authors multiply by the activation, not by its distance from the "
            "baseline: scores then do not add up.",
        )
    if chosen.draws:
        settings["seed"] = st.number_input("Seed", 0, 2**31, form["seed"], key=_key("seed"))
    return settings


def _path(chosen: Method, form: dict[str, Any]) -> dict[str, Any]:
    """Where the path of integration begins, and how exactly it is followed."""
    baselines, engines = chosen.baselines, list(chosen.engines)
    settings: dict[str, Any] = {
        "baseline": st.selectbox(
            "The path begins at",
            baselines,
            index=baselines.index(form["baseline"]) if form["baseline"] in baselines else 0,
            format_func=_BASELINES.__getitem__,
            key=_key(f"baseline_{len(baselines)}"),
            help="Uninformative: all tokens replaced by the mask or the end of text. Mean: over"
            " inputs in which one token is replaced, each in turn.",
        ),
        "engine": st.selectbox(
            "Engine",
            engines,
            index=engines.index(form["engine"]),
            key=_key("engine"),
            help="Captum computes the same numbers, many times slower: for checking.",
        ),
    }
    if settings["engine"] == "fast":
        choices = sorted({*_TOLERANCES, form["tolerance"]}, reverse=True)
        settings["tolerance"] = st.selectbox(
            "Error allowed in a layer",
            choices,
            index=choices.index(form["tolerance"]),
            format_func=lambda t: f"{t:.1%}",
            key=_key("tolerance"),
            help="As estimated, of the sum of its absolute scores. Less takes longer.",
        )
    return settings
