"""The glossary's words, explained where they stand: hover, or touch them."""

from __future__ import annotations

from neuronlab.widgets.browser import element
from neuronlab.widgets.page import GLOSSARY

_mount = element("terms")


def draw() -> None:
    """Explain words in all running text of the page, each where it first stands."""
    # One letter is too often no word.
    _mount(key="terms", data={"terms": {k: v for k, v in GLOSSARY.items() if len(k) > 1}})
