"""What is asked of the model: text or protein, target, method; it ends in a spec."""

from __future__ import annotations

from typing import Any

import streamlit as st

from neuronlab.attribution import method
from neuronlab.errors import UserError
from neuronlab.models import MASK, Model, Prompt
from neuronlab.models.prompt import SEPARATOR
from neuronlab.models.residues import clean_sequence
from neuronlab.models.token_model import FIRST_SENTINEL
from neuronlab.proteins.sequences import MAX_FASTA_BYTES, read_fasta
from neuronlab.studies.attribution import AttributionSpec, default_positions
from neuronlab.studies.bases.prompts import prompts
from neuronlab.widgets import method_form, state, structure, target_form
from neuronlab.widgets.guard import complain, doubted


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
    settings = method_form.draw(form, model.sizes)
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
            target = target_form.target(model, prompt, form)
        asked = {
            "text": prompt.text,
            "mask": prompt.mask,
            "target": target,
            "prefix": prompt.prefix,
        }
        if right is not None:
            with right:
                asked["foil"] = target_form.foil(model, prompt, form, target)
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
            key=state.form_key("text"),
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
        key=state.form_key("prefix"),
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
            "Protein, one-letter codes", form["typed"], key=state.form_key("text"), height=110
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
        key=state.form_key(f"mask_{len(sequence)}"),
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
