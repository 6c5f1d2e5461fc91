"""Backup neurons: pairs that stand in for each other, and fact-checking (arXiv 2308.13198)."""

from neuronlab.widgets import model_fetch, sections, state
from pages.degenerate import fact_checking, pairs

VIEWS = {"degenerate_pairs": "Pairs", "fact_checking": "Fact-checking"}


def main() -> None:
    if not model_fetch.ready(state.model_name()):
        return
    if sections.view(VIEWS) == "fact_checking":
        fact_checking.draw()
    else:
        pairs.draw()


main()
