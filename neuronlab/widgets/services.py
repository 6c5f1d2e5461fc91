"""What all sessions of one server share: the store, the queue and the loaded models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from neuronlab import examples
from neuronlab.models import Model, shared
from neuronlab.proteins.contacts import predicted_contacts
from neuronlab.runs import Queue, Result, Spec, Store
from neuronlab.studies import STUDIES


@st.cache_resource
def queue() -> Queue:
    """The one queue of this server; its workers outlive every browser tab."""
    return Queue(Store(), STUDIES)


def store() -> Store:
    """Finished results on disk."""
    return queue().store


def finished(key: str) -> Result | None:
    """A result that is stored, or comes with the project and is stored now."""
    return result(key)[1] if at_hand(key) else None


def at_hand(key: str) -> bool:
    """Whether a result is stored, or comes with the project and is stored now."""
    return store().has(key) or examples.adopt(key, store())


def spec_of(raw: Mapping[str, Any]) -> Spec:
    """A stored spec as its study has it now; fields that this no longer has are left out."""
    spec_type = STUDIES[raw["study"]].spec_type
    return spec_type(**{name: raw[name] for name in spec_type.model_fields if name in raw})


def owner() -> str:
    """Who this browser session is to the queue."""
    context = get_script_run_ctx()
    assert context is not None
    return context.session_id


def open_sessions(owners: Iterable[str]) -> set[str]:
    """Those of some owners whose browsers are still here: a run outlives the tab that began it."""
    return set(filter(runtime.get_instance().is_active_session, owners))


def model(name: str, device: str, revision: str = "") -> Model:
    """The shared copy of a model, with a message while it loads."""
    with st.spinner(f"Loading {name}…"):
        return shared(name, device, revision)


def contacts(of: Model, sequence: str) -> np.ndarray | None:
    """Which residues of a protein touch, as a model sees it: see ``predicted_contacts``."""
    return _contacts(of, of.name, of.revision, sequence)


@st.cache_data(max_entries=32, show_spinner=False)
def _contacts(_model: Model, name: str, revision: str, sequence: str) -> np.ndarray | None:
    return predicted_contacts(_model, sequence)


@st.cache_resource(max_entries=16, show_spinner=False)
def result(key: str) -> tuple[dict, Result]:
    """A stored spec and result. Shared by sessions: nobody changes it."""
    return store().load(key)
