"""Every mutation in a browser: a click on a cell attributes it against the wild type."""

from functools import partial

import pytest

from neuronlab.examples import opened
from neuronlab.figures.mutations import mutation_blocks

SHORT = "EVQLVESGGGLVQPGGSLRLSCAAS"


def following(one, act):
    """The tab, once what was done has changed the run that its address names."""
    before = one.query("run")
    act()
    one.wait_until(lambda: one.query("run") != before)
    return one


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_attributes_the_mutation(tab, width):
    (spec,) = (each for each in opened("antiberty") if each.study == "mutations")
    one = tab(width).open(f"attribution?run={spec.key}").finished()
    assert one.overflowing() == []
    # A short protein, which is attributed in no time, and which the model does not know.
    following(one, lambda: one.prompt(SHORT).press("Run")).finished()
    one.press("Show it all the same").finished()
    result = one.result()
    sequence, log_odds = result.numbers["sequence"], result.arrays["log_odds"]
    best = result.tables["mutations"].iloc[0]
    for grid, _ in mutation_blocks(sequence, log_odds):
        cells = grid.cells
        hit = cells[(cells["position"] == best["position"]) & (cells["mutant"] == best["mutant"])]
        if len(hit):
            start = cells["position"].min()
            index = int(hit.index[0])
            following(one, partial(one.click_cell, f"mutations_{start}", grid, index))
    one.results().healthy()
    numbers = one.result().numbers
    assert (numbers["mask"], numbers["target_label"]) == (best["position"] - 1, best["mutant"])
    assert numbers["foil_label"] == best["wild_type"]
    assert numbers["log_odds"] == pytest.approx(best["log_odds"], abs=1e-3)
    assert f"log-odds {numbers['log_odds']:+.2f}" in one.text()
    assert one.overflowing() == []
    one.look("Every mutation").finished()
