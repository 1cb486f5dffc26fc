"""Which pseudo-labelled rows are taken, by cases made by hand."""

import numpy as np
import pytest

from nlpcompress.errors import DataError
from nlpcompress.training.self_training.data import repeats_for
from nlpcompress.training.self_training.selection import select

# Best class and its probability: 0 .9 | 0 .8 | 1 .6 | 0 .7 | 2 .5 | 1 .55
SIX = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.8, 0.1, 0.1],
        [0.2, 0.6, 0.2],
        [0.7, 0.2, 0.1],
        [0.25, 0.25, 0.5],
        [0.3, 0.55, 0.15],
    ]
)


def rows(**values):
    return sorted(select(SIX, **values).rows.tolist())


def test_only_the_confident_pass():
    assert rows(threshold=0.6, balance=False) == [0, 1, 2, 3]
    assert rows(threshold=0.0, balance=False) == [0, 1, 2, 3, 4, 5]
    assert select(SIX, threshold=0.6, balance=False).confident == 4


def test_the_threshold_itself_passes():
    assert rows(threshold=0.9, balance=False) == [0]


@pytest.mark.parametrize(
    ("per_class", "expected"),
    [(1, [0, 2, 4]), (2, [0, 1, 2, 4, 4, 5]), (3, [0, 1, 2, 2, 3, 4, 4, 4, 5]),
     (5, [0, 0, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4, 4, 5, 5])],
)  # fmt: skip
def test_each_class_gives_its_most_confident_and_repeats_them_by_turns(per_class, expected):
    assert rows(per_class=per_class) == expected
    chosen = select(SIX, per_class=per_class)
    assert chosen.per_class == (per_class,) * 3
    assert chosen.labels.tolist() == SIX.argmax(-1)[chosen.rows].tolist()


def test_without_a_number_each_class_gets_the_mean_of_the_classes():
    assert rows() == rows(per_class=2)
    # Five rows of two classes pass: three each.
    assert rows(threshold=0.55) == [0, 1, 2, 2, 3, 5]
    assert select(SIX, threshold=0.55).per_class == (3, 3, 0)


def test_a_class_nobody_was_sure_of_stays_empty():
    chosen = select(SIX, threshold=0.65, per_class=2)
    assert sorted(chosen.rows.tolist()) == [0, 1] and chosen.per_class == (2, 0, 0)


def test_rows_that_are_as_sure_are_taken_in_their_order():
    same = np.tile([0.75, 0.25], (5, 1))
    assert select(same, per_class=3).rows.tolist() == [0, 1, 2]


def test_nobody_sure_is_an_error():
    with pytest.raises(DataError, match=r"probability of 0.95 \(the highest of all is 0.900\)"):
        select(SIX, threshold=0.95)


@pytest.mark.parametrize(
    ("labelled", "selected", "ratio", "expected"),
    [(8, 256, 14, 2), (8, 256, None, 1), (200, 100, 14, 1), (10, 90, 3, 3), (10, 90, 0.5, 18)],
)
def test_labelled_rows_repeat_to_come_near_the_ratio(labelled, selected, ratio, expected):
    assert repeats_for(labelled, selected, ratio) == expected
