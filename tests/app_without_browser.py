"""Where Streamlit's AppTest differs from its server and a browser, and what mends it."""

from functools import cache
from typing import Any
from uuid import uuid4

import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import app_test, local_script_runner
from streamlit.testing.v1.element_tree import Selectbox
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

from neuronlab.widgets import services

_start = PagesManager.__init__


def _started(self: PagesManager, *arguments: Any, **keywords: Any) -> None:
    """AppTest takes pages/ for an old multipage app on every run; the server only at its start."""
    _start(self, *arguments, **keywords)
    PagesManager.uses_pages_directory = False


def _chosen(self: Selectbox) -> WidgetState:
    """AppTest sends only what a box offers; a browser sends what was typed, too."""
    found = WidgetState(id=self.id)
    if self.value is not None and self.options:
        found.string_value = self.format_func(self.value)
    return found


# The server looks through the installed packages and compiles its pages once; AppTest would for
# every session and every run.
_manifests = cache(manifest_scanner.scan_component_manifests)
_scripts = cache(ScriptCache)


def _ended(runner: LocalScriptRunner, timeout: float = 3) -> None:
    """AppTest asks every millisecond whether the script has ended, and so slows it down."""
    thread = runner._script_thread
    assert thread is not None
    thread.join(timeout)
    if thread.is_alive():
        runner.request_stop()
        runner.join()
        raise RuntimeError(f"The page was not there after {timeout} s.")


def _owner() -> str:
    """AppTest gives all sessions the same id."""
    return st.session_state.setdefault("owner", uuid4().hex)


# Object, attribute and what to put there.
MENDS = (
    (manifest_scanner, "scan_component_manifests", _manifests),
    (PagesManager, "__init__", _started),
    (app_test, "ScriptCache", _scripts),
    (local_script_runner, "require_widgets_deltas", _ended),
    (services, "owner", _owner),
    (Selectbox, "_widget_state", property(_chosen)),
)
