"""The clickable map of mutations, read back from its options."""

import numpy as np
import pytest

from neuronlab.figures.mutations import ROWS, mutation_blocks, scale_limit
from neuronlab.models.residues import AMINO_ACIDS


def random_map(length):
    draw = np.random.default_rng(0)
    sequence = "".join(draw.choice(list(AMINO_ACIDS), length))
    scores = draw.normal(-2, 2, (length, 20)).astype(np.float32)
    scores[np.arange(length), [AMINO_ACIDS.index(r) for r in sequence]] = 0
    return sequence, scores


@pytest.mark.parametrize(
    ("length", "blocks"), [(1, 1), (20, 1), (26, 2), (76, 3), (120, 3), (150, 3), (151, 4)]
)
def test_every_cell_is_in_one_block(length, blocks):
    sequence, scores = random_map(length)
    drawn = mutation_blocks(sequence, scores)
    assert len(drawn) == blocks
    seen = np.full(scores.shape, np.nan)
    for grid, height in drawn:
        series, names = grid.option["series"][0], grid.option["yAxis"]["data"]
        assert len(names) <= ROWS
        assert height < 850  # a phone's screen or so
        assert grid.option["xAxis"]["data"] == list(AMINO_ACIDS)
        for cell, item in zip(grid.cells.itertuples(), series["data"], strict=True):
            x, y, value = item["value"]
            assert (AMINO_ACIDS[x], names[y]) == (cell.mutant, f"{cell.wild_type}{cell.position}")
            assert value == pytest.approx(cell.log_odds, abs=1e-6)
            seen[cell.position - 1, x] = value
            assert (cell.x, cell.y) == (x, y)
            assert ("label" in item) == (cell.wild_type == cell.mutant)
            if "label" in item:
                assert item["label"]["formatter"] == sequence[cell.position - 1]
                assert item["itemStyle"]["borderWidth"]
            else:
                assert item["name"] == (
                    f"{cell.wild_type}{cell.position}{cell.mutant}: {cell.log_odds:+.2f}"
                )
        wild = (grid.cells["wild_type"] == grid.cells["mutant"]).tolist()
        assert wild == sorted(wild)  # drawn last: no neighbour covers a border
    assert seen == pytest.approx(scores, abs=1e-6)


def test_one_scale_of_colours_centred_at_zero():
    sequence, scores = random_map(130)
    ends = {
        (grid.option["visualMap"]["min"], grid.option["visualMap"]["max"])
        for grid, _ in mutation_blocks(sequence, scores)
    }
    limit = scale_limit(sequence, scores)
    assert ends == {(-limit, limit)}
    wild = np.array([[residue == other for other in AMINO_ACIDS] for residue in sequence])
    beyond = np.abs(scores[~wild]) > limit
    assert beyond.mean() == pytest.approx(0.02, abs=0.002)
    assert [grid.option["visualMap"]["show"] for grid, _ in mutation_blocks(sequence, scores)] == [
        True,
        False,
        False,
    ]


def test_a_map_of_another_protein_is_refused():
    with pytest.raises(ValueError, match="residues"):
        mutation_blocks("MKT", np.zeros((2, 20), np.float32))
