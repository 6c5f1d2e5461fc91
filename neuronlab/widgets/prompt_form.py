"""What is asked of the model: text or protein, target, method; it ends in a spec."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.attribution import method
from neuronlab.errors import UserError
from neuronlab.figures.charts import visible
from neuronlab.models import MASK, Model, Prompt
from neuronlab.models.prompt import SEPARATOR, joined
from neuronlab.models.residues import clean_sequence
from neuronlab.models.token_model import FIRST_SENTINEL
from neuronlab.neurons import predict
from neuronlab.neurons.effect import percent
from neuronlab.proteins.sequences import MAX_FASTA_BYTES, read_fasta
from neuronlab.studies.attribution import AttributionSpec, default_positions
from neuronlab.studies.bases.prompts import prompts
from neuronlab.widgets import method_form, state, structure
from neuronlab.widgets.guard import complain, doubted, plain

_NOTHING = -1  # in place of a foil's index


def fill(spec: dict[str, Any]) -> None:
    """Put a spec's inputs into its model's form, before the widgets are drawn.

    What is asked is what the spec says; settings that it does not say stay as the form has them, or
    as they are by default.
    """
    forms = st.session_state.setdefault("forms", {})
    defaults = dict(AttributionSpec(model=spec["model"], text=spec["text"]))
    del defaults["revision"]
    form = forms.get(spec["model"]) or defaults
    if spec.get("study", AttributionSpec.study) == AttributionSpec.study:
        spec = defaults | spec  # which leaves out some that are as by default
    values = {name: spec[name] for name in defaults if name in spec}
    asked = {name: spec.get(name) for name in ("mask", "target", "foil", "prefix")}
    forms[spec["model"]] = form | values | asked | {"typed": spec["text"]}
    st.session_state["form_version"] = st.session_state.get("form_version", 0) + 1


def draw(model: Model) -> AttributionSpec | None:
    """The form; returns the spec it stands for, or None with a message where it is not one."""
    asked = ask(model, foil=True)
    form = _form(model)
    settings = method_form.draw(form, model.sizes, _key)
    # Streamlit forgets a widget that is not drawn, on another page or beside a mistake.
    form |= settings
    if not settings["components"]:
        complain("Choose at least one component.")
        return None
    if asked is None:
        return None
    try:
        method(settings["method"]).check_foil(asked["foil"])
    except UserError as error:
        complain(str(error))
        return None
    return AttributionSpec(model=model.name, revision=model.revision, **asked, **settings)


def ask(model: Model, *, foil: bool = False) -> dict[str, Any] | None:
    """Prompt and target alone: text, mask, prefix and target; None with a message where not.

    Args:
        foil: ask what the target is compared with, too.
    """
    form = _form(model)
    try:
        prompt = _protein(model, form) if model.alphabet == "protein" else _text(model, form)
        left, right = st.columns(2) if foil else (st.container(), None)
        with left:
            target = _target(model, prompt, form)
        asked = {
            "text": prompt.text,
            "mask": prompt.mask,
            "target": target,
            "prefix": prompt.prefix,
        }
        if right is not None:
            with right:
                asked["foil"] = _foil(model, prompt, form, target)
    except UserError as error:
        complain(str(error))
        return None
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
    settings = {"positions": default_positions(model.kind), "components": model.components}
    fill(AttributionSpec(model=model.name, **settings, **chosen).model_dump())


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
    fills = f"Put {MASK} where the hidden word is."
    helps = {
        "masked": fills,
        "seq2seq": fills,
        "classifier": f"A classifier that reads two texts has {SEPARATOR} between them.",
    }
    with left:
        text = st.text_area(
            "Prompt",
            form["typed"],
            key=_key("text"),
            height=68,
            help=helps.get(model.kind),
            max_chars=20_000,
            placeholder="The capital of France is",
        )
    form["typed"] = text
    if model.kind != "seq2seq":
        return Prompt(text)
    prefix = st.text_input(
        "The decoder has said",
        form.get("prefix") or "",
        key=_key("prefix"),
        max_chars=20_000,
        placeholder="what comes before the hidden word, or nothing",
        help="The target is what the decoder says next. Left empty, it has said what comes before "
        f"{MASK}, or a sentinel such as {FIRST_SENTINEL}, where the prompt has one.",
    )
    return Prompt(text, prefix=prefix or None)


def protein(model: Model) -> str | None:
    """A protein alone, of the 20 amino acids; None with a message where it is none."""
    try:
        return clean_sequence(_sequence(model, _form(model)))
    except UserError as error:
        complain(str(error))
        return None


def _sequence(model: Model, form: dict[str, Any]) -> str:
    def use(sequence: str) -> None:
        fill(form | {"text": sequence, "target": None, "mask": 0})

    left, right = st.columns([3, 1])
    with right:
        _pick_example(model)
        structure.pick_known(model, use)
        _fasta(form)
    with left:
        text = st.text_area(
            "Protein, one-letter codes", form["typed"], key=_key("text"), height=110
        )
    form["typed"] = text
    sequence = clean_sequence(text, model.residues)
    doubted(sequence)
    return sequence


def _protein(model: Model, form: dict[str, Any]) -> Prompt:
    sequence = _sequence(model, form)
    if model.kind != "masked":
        return Prompt(sequence)
    start = min(form["mask"] or 0, len(sequence) - 1)
    place = st.selectbox(
        "Residue to hide and predict",
        range(len(sequence)),
        start,
        format_func=lambda i: f"{sequence[i]}{i + 1}",
        key=_key(f"mask_{len(sequence)}"),
        help="Counted from 1: type its number. The model sees a mask there and predicts the "
        "residue.",
    )
    st.caption(f"…{_around(sequence, place)}…")
    return Prompt(sequence, mask=place)


def _around(sequence: str, at: int, reach: int = 8) -> str:
    """A residue among its neighbours, in bold."""
    before, after = sequence[max(at - reach, 0) : at], sequence[at + 1 : at + 1 + reach]
    return f"{before}**{sequence[at]}**{after}"


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
            asked = {"text": proteins[chosen].sequence, "target": None, "mask": 0, "foil": None}
            fill(form | asked)

        st.button("Use this sequence", on_click=use)


@st.cache_data(max_entries=256, show_spinner=False)
def top_choices(
    _model: Model, name: str, revision: str, prompt: Prompt, count: int = 10
) -> pd.DataFrame:
    """The model's most probable choices for a prompt; cached for all sessions."""
    return predict(_model, prompt).top(count)


def _target(model: Model, prompt: Prompt, form: dict[str, Any]) -> str | int:
    """The target as a spec holds it: its text where that is unambiguous, else its index."""
    probability = _probabilities(model, prompt)
    options = list(probability)
    first = options[0]
    if model.alphabet == "protein" and prompt.mask is not None:
        # What the residue is, is the natural question about it.
        truth = prompt.text[prompt.mask]
        first = model.tokenizer.convert_tokens_to_ids(truth)
    if (named := _named(model, prompt, form, "target")) is not None:
        first = named
    if first not in options:
        options.insert(0, first)
    chosen = _pick(
        model,
        prompt,
        "Class to explain" if model.kind == "classifier" else "Target to explain",
        options,
        first,
        key="target",
        help_="" if model.kind == "classifier" else "The model's first choices; or type another.",
    )
    assert chosen is not None  # nothing is no option
    return chosen


def _foil(
    model: Model, prompt: Prompt, form: dict[str, Any], target: str | int
) -> str | int | None:
    """What the target is compared with, as a spec holds it; None is nothing."""
    index = _index(model, prompt, target)
    options = [_NOTHING, *(choice for choice in _probabilities(model, prompt) if choice != index)]
    named = _named(model, prompt, form, "foil")
    first = _NOTHING if named in (None, index) else named
    if first not in options:
        options.insert(1, first)
    return _pick(
        model,
        prompt,
        "instead of (foil)",
        options,
        first,
        key=f"foil_{index}",
        help_="What is explained is then the difference of the two log-probabilities: which "
        "neurons prefer the target over the foil, and which the foil.",
    )


def _named(model: Model, prompt: Prompt, form: dict[str, Any], name: str) -> int | None:
    """The form's target or foil, where it was chosen for this prompt and the model has it.

    An example's answer need be no word of a model of one's own: the field then offers others.
    """
    if form.get(name) is None or not _same(prompt, form):
        return None
    with suppress(UserError):
        return _index(model, prompt, form[name])
    return None


def _same(prompt: Prompt, form: dict[str, Any]) -> bool:
    """Whether the form's target and foil were chosen for this prompt."""
    there = prompt.text, prompt.mask, prompt.prefix
    return there == (form["text"], form["mask"], form.get("prefix"))


def _probabilities(model: Model, prompt: Prompt) -> dict[int, float]:
    """The first choices, the most probable first; of a masked residue all residues alone."""
    protein = model.alphabet == "protein"
    masked = protein and model.kind == "masked"
    count = model.vocabulary if masked else len(model.residues) if protein else 10
    top = top_choices(model, model.name, model.revision, prompt, count)
    if masked:
        top = top[top["index"].isin(model.residue_tokens.values())]
    return dict(zip(top["index"], top["probability"], strict=True))


def _pick(
    model: Model,
    prompt: Prompt,
    label: str,
    options: Sequence[int],
    first: int,
    *,
    key: str,
    help_: str,
) -> str | int | None:
    """One of the choices, or another that is typed; None where nothing is chosen."""
    probability = _probabilities(model, prompt)

    def words(choice: int | str) -> str:
        if isinstance(choice, str):
            return choice
        if choice == _NOTHING:
            return "nothing: the target by itself"
        share = f"  {percent(probability[choice])}" if choice in probability else ""
        return f"{visible(model.label(choice))}{share}"

    digest = hashlib.sha256(f"{prompt.text}|{prompt.mask}|{prompt.prefix}".encode()).hexdigest()[
        :12
    ]
    chosen: int | str | None = st.selectbox(
        label,
        options,
        index=options.index(first),
        format_func=words,
        key=_key(f"{key}_{digest}"),
        accept_new_options=model.kind != "classifier",
        help=help_ or None,
    )
    if chosen == _NOTHING:
        return None
    if isinstance(chosen, str):
        text = model.kind == "causal" and model.alphabet == "text"
        typed = joined(prompt.text, chosen) if text else joined(prompt.prefix or "", chosen)
        encoded = model.encode(replace(prompt, target=typed))
        if encoded.note:
            st.caption(plain(encoded.note))
        chosen = encoded.target
    assert chosen is not None  # there is always a first choice
    return _written(model, prompt, chosen)


def _index(model: Model, prompt: Prompt, target: str | int) -> int:
    index = model.encode(replace(prompt, target=target)).target
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
