"""Where Streamlit's AppTest differs from its server and a browser, and what mends it."""

from typing import Any

from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1.element_tree import Selectbox

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


# Object, attribute and what to put there.
MENDS = (
    (PagesManager, "__init__", _started),
    (Selectbox, "_widget_state", property(_chosen)),
)
