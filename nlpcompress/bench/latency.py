"""How long one forward pass takes, for several models fairly: they take turns."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nlpcompress.core.config import Config
from nlpcompress.errors import ConfigError

Batch = Mapping[str, Any]
Predictor = Callable[[Any], Any]
"""From a batch to an answer that is there when it returns."""


class Timing(Config):
    """Milliseconds of one forward pass over `samples` runs: median, 5th and 95th percentile."""

    median: float
    p5: float
    p95: float
    samples: int


def measure_latency(
    predictors: Mapping[str, Predictor], batch: Batch, *, warmup: int = 3, rounds: int = 20
) -> dict[str, Timing]:
    """Time every predictor on `batch`, in milliseconds of the wall clock.

    Each round runs each predictor once, in an order turned by one from round to round, so that a
    busy moment of the machine hits all of them alike. A predictor must return only when its result
    is there (as arrays on the CPU are).

    Raises `ConfigError` when there is nothing to measure.
    """
    if not predictors or rounds < 1:
        raise ConfigError(
            f"latency needs at least one model and one round, got {len(predictors)} and {rounds}"
        )
    for predict in predictors.values():
        for _ in range(warmup):
            predict(batch)
    times: dict[str, list[float]] = {name: [] for name in predictors}
    names = list(predictors)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(_milliseconds(predictors[name], batch))
    return {name: _summary(values) for name, values in times.items()}


def shape_name(batch: Batch) -> str:
    """The key of a latency in a report: the size of the first input, as `8x64` or `8x3x32x32`."""
    return "x".join(str(size) for size in next(iter(batch.values())).shape)


def _milliseconds(predict: Predictor, batch: Batch) -> float:
    start = time.perf_counter()
    predict(batch)
    return (time.perf_counter() - start) * 1e3


def _summary(values: list[float]) -> Timing:
    p5, median, p95 = (float(value) for value in np.percentile(values, [5, 50, 95]))
    return Timing(median=median, p5=p5, p95=p95, samples=len(values))
