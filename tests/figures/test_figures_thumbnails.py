"""A result's picture shows what is in the result, and every study that a page shows has one."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor

from neuronlab import examples
from neuronlab.figures.colours import ON_EITHER
from neuronlab.figures.thumbnails import HIGH, SOURCES, WIDE, thumbnail
from neuronlab.runs import Result, Store
from neuronlab.studies import STUDIES
from pages import PAGE_OF

AGAINST, FOR = map(ImageColor.getrgb, ON_EITHER)


def pixels(study, result):
    image = Image.open(io.BytesIO(thumbnail(study, result)))
    assert (image.format, image.size) == ("PNG", (WIDE, HIGH))
    return np.asarray(image.convert("RGBA"))


def test_scores_are_layers_from_below_by_components_side_by_side():
    query, ffn = np.zeros((2, 5, 8), np.float32)
    ffn[0, 0], query[4, 7] = -4.0, 1.0
    drawn = pixels("attribution", Result(arrays={"ffn": ffn, "query": query}))
    painted = np.argwhere(drawn[..., 3] > 0)
    assert tuple(drawn[0, WIDE // 2 - 10]) == (*FOR, 128)  # the top layer; half, of a quarter
    assert tuple(drawn[-1, WIDE // 2 + 10]) == (*AGAINST, 255)
    # A layer each, and nothing else.
    assert set(painted[:, 0] // (HIGH // 5)) == {0, 4}
    assert len(painted) < 0.1 * WIDE * HIGH


def test_many_neurons_are_seen_by_the_strongest_of_their_bin():
    ffn = np.full((1, 10_000), 0.01, np.float32)
    ffn[0, 9_999] = -1.0
    drawn = pixels("attribution", Result(arrays={"ffn": ffn}))
    assert tuple(drawn[0, -1]) == (*AGAINST, 255)
    assert tuple(drawn[0, 0]) == (*FOR, 26)  # a tenth, of a hundredth


def test_labels_are_counted_and_what_has_none_is_not():
    labels = pd.DataFrame(
        {
            "layer": [0, 0, 0, 2, 2],
            "group": ["sequence", "sequence", "", "sequence", "structure"],
        }
    )
    drawn = pixels("neuron_labels", Result(tables={"labels": labels}))
    strength = drawn[HIGH // 6 :: HIGH // 3, WIDE // 4 :: WIDE // 2, 3]
    # Layers 2, 1 and 0 from above; of the one between nothing is known.
    assert strength.tolist() == [[180, 180], [0, 0], [255, 0]]


def test_means_are_signed_and_numbers_are_in_their_order():
    overlap = pd.DataFrame(
        {"pair": ["a", "a", "b", "b"], "k": [100, 10, 10, 10], "jaccard": [1, -1, 0.5, -0.5]}
    )
    drawn = pixels("stability", Result(tables={"overlap": overlap}))
    assert tuple(drawn[0, 0]) == (*AGAINST, 255)
    assert tuple(drawn[0, -1]) == (*FOR, 255)
    assert drawn[-1, 0, 3] == drawn[-1, -1, 3] == 0  # the mean of both, and what is not there


@pytest.mark.parametrize(
    ("study", "result"),
    [
        ("attribution", Result(arrays={"ffn": np.zeros((2, 3), np.float32)})),
        ("token_labels", Result(tables={"labels": pd.DataFrame({"layer": [0], "role": [""]})})),
    ],
)
def test_of_nothing_there_is_no_picture(study, result):
    assert thumbnail(study, result) == b""


def test_every_study_that_a_page_shows_has_a_picture():
    assert PAGE_OF.keys() <= SOURCES.keys() <= STUDIES.keys()


@pytest.mark.parametrize("key", sorted(examples.stored_keys()))
def test_stored_examples_are_drawn_small_from_one_part(key, tmp_path):
    store = Store(tmp_path)
    examples.adopt(key, store)
    (record,) = store.history()
    if record.study in SOURCES:
        source = SOURCES[record.study]
        drawn = thumbnail(record.study, store.part(key, source.part))
        assert drawn == thumbnail(record.study, store.load(key)[1])
        assert 0 < len(drawn) < 5_000
