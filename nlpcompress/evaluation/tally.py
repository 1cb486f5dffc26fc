"""A metric over a whole data set, given batch by batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nlpcompress.errors import DataError

Metric = Callable[[np.ndarray, np.ndarray], float]


class Tally(Protocol):
    """Takes in batch after batch, then tells the value over all of them."""

    def add(self, predictions: np.ndarray, labels: np.ndarray) -> None: ...

    def value(self) -> float: ...


@dataclass(frozen=True)
class TokenMean:
    """A metric that is a mean over tokens, and needs no batch again once it has seen it.

    `score(predictions, labels)` gives a number for each token that counts, `(n,)`, maybe none;
    `finish` makes the value out of their mean.
    """

    score: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[float], float] = float

    def __call__(self, predictions: np.ndarray, labels: np.ndarray) -> float:
        tally = RunningMean(self)
        tally.add(predictions, labels)
        return tally.value()


class WholeSet:
    """Keeps all predictions: for a metric that must see them together."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.predictions: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def add(self, predictions: np.ndarray, labels: np.ndarray) -> None:
        self.predictions.append(predictions)
        self.labels.append(labels)

    def value(self) -> float:
        return self.metric(np.concatenate(self.predictions), np.concatenate(self.labels))


class RunningMean:
    """Keeps a sum and a count: logits of tokens would not fit into memory."""

    def __init__(self, metric: TokenMean) -> None:
        self.metric = metric
        self.total, self.count = 0.0, 0

    def add(self, predictions: np.ndarray, labels: np.ndarray) -> None:
        scores = self.metric.score(predictions, labels)
        self.total += float(scores.sum(dtype=np.float64))
        self.count += len(scores)

    def value(self) -> float:
        """Raises `DataError` when no token counted."""
        if self.count == 0:
            raise DataError(
                "a metric of masked tokens needs at least one row with one, got none; give more or "
                "longer texts"
            )
        return self.metric.finish(self.total / self.count)


def tally_of(metric: Metric) -> Tally:
    """An empty tally of that metric."""
    return RunningMean(metric) if isinstance(metric, TokenMean) else WholeSet(metric)
