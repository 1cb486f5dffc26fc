"""Which rows are train and which are test: fixed, so that every seed measures the same rows."""

from dataclasses import replace

import numpy as np

from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

SPLIT_SEED = 0
TRAIN_SHARE = 0.8


def shuffled(count: int, seed: int) -> np.ndarray:
    """A permutation of `range(count)`, int64 `(count,)`, equal on every platform.

    `RandomState` is used because numpy promises never to change its stream.
    """
    return np.random.RandomState(seed).permutation(count)


def split_rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of train (80 % of the fixed shuffle, rounded down) and of test (the rest).


    >>> [len(rows) for rows in split_rows(10_041)]
    [8032, 2009]
    """
    order = shuffled(count, SPLIT_SEED)
    cut = int(count * TRAIN_SHARE)
    return order[:cut], order[cut:]


def training_only(source: Source) -> Source:
    """The rows that are for training, as a source without a test set: part of them becomes one."""
    if source.test is not None:
        return replace(source, test=None)
    return replace(source, train=source.train.select(split_rows(len(source.train))[0]))


def choose_rows(source: Source, config: DataConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of train and of test; the latter are rows of `train` when there is no `test`.

    Both are shuffled, so that any head of them is a fair sample, and cut to the config's numbers of
    samples: training rows by the recipe's seed, test rows always in the same way.
    """
    if source.test is None:
        train, test = split_rows(len(source.train))
    else:
        train, test = np.arange(len(source.train)), np.arange(len(source.test))
    if len(train) == 0:
        raise DataError(
            f"{len(source.train)} row cannot be split into train and test; give a test file or "
            "more rows"
        )
    drawn = train[shuffled(len(train), seed)[: config.train_samples]]
    return drawn, test[shuffled(len(test), SPLIT_SEED)[: config.test_samples]]
