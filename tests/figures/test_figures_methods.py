"""Methods are drawn alike in every figure, and told apart in each."""

import pandas as pd

from neuronlab.attribution import METHODS
from neuronlab.figures.colours import line_of
from neuronlab.figures.methods import by_count
from neuronlab.neurons.effect import RANDOM


def test_a_method_has_its_line_whichever_others_are_drawn():
    names = ["norm", "integrated_gradients", "rank"]
    rows = [("original", 0, "", 0.5), ("pooled", 1, RANDOM, 0.4)]
    rows += [(name, 1, "", 0.1) for name in names]
    table = pd.DataFrame(rows, columns=["method", "k", "control", "mrr"])
    titles = {name: METHODS[name].title for name in names}
    traces = {trace.name: trace for trace in by_count(table, titles, "mrr", "pooled").data}
    assert len(traces) == 4
    for name in names:
        trace = traces[titles[name]]
        assert (trace.line.color, trace.line.dash, trace.marker.symbol) == line_of(name)
