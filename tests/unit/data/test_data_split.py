"""The rows of train and test: fixed on every platform, whatever the recipe's seed."""

import datasets
import numpy as np
import pytest

from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source
from nlpcompress.data.split import choose_rows, split_rows
from nlpcompress.errors import DataError


def source(train, test=None):
    rows = [datasets.Dataset.from_dict({"x": list(range(n))}) for n in (train, test) if n]
    return Source(*rows)


def test_the_split_of_ten_is_these_rows():
    train, test = split_rows(10)
    assert train.tolist() == [2, 8, 4, 9, 1, 6, 7, 3]
    assert test.tolist() == [0, 5]


def test_train_and_test_partition_the_rows_and_only_train_follows_the_seed():
    config = DataConfig(name="csv")
    first, second = (choose_rows(source(101), config, seed) for seed in (0, 1))
    assert sorted([*first[0], *first[1]]) == list(range(101))
    assert (len(first[0]), len(first[1])) == (80, 21)
    assert sorted(first[0]) == sorted(second[0])
    assert first[0].tolist() != second[0].tolist()
    assert first[1].tolist() == second[1].tolist()


def test_samples_cut_both_and_only_train_is_drawn_by_the_seed():
    config = DataConfig(name="csv", train_samples=10, test_samples=5)
    first, second = (choose_rows(source(50, 30), config, seed) for seed in (3, 4))
    assert (len(first[0]), len(first[1])) == (10, 5)
    assert set(first[0]) != set(second[0])
    assert first[1].tolist() == second[1].tolist()
    everything = choose_rows(source(50, 30), DataConfig(name="csv", train_samples=999), 3)
    assert np.array_equal(everything[0][:10], first[0])
    assert len(everything[0]) == 50


def test_one_row_cannot_be_split():
    with pytest.raises(DataError, match="1 row cannot be split"):
        choose_rows(source(1), DataConfig(name="csv"), 0)
