"""The glossary's words, explained where they stand: hover, or touch them."""

from __future__ import annotations

from neuronlab.widgets.browser import element
from neuronlab.widgets.page import GLOSSARY

_mount = element("terms")


def draw() -> None:
    """Explain words in all running text of the page, each where it first stands."""
    # One letter is too often no word. What an entry is of together, such as queries and keys, are
    # everyday words, too: they are explained where they are bold.
    terms = {k: v for k, v in GLOSSARY.items() if len(k) > 1}
    together = {part.lower(): term for term in terms if ", " in term for part in term.split(", ")}
    _mount(key="terms", data={"terms": terms, "bold": together})
