"""Metrics of real predictions: `(N,)` or `(N, 1)` against real labels `(N,)`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from nlpcompress.errors import DataError
from nlpcompress.evaluation.inputs import real_predictions


def pearson(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Pearson's correlation in [-1, 1]; 0 when every prediction is the same. See `_correlation`."""
    return _correlation(stats.pearsonr, real_predictions(predictions, labels), labels)


def spearman(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Spearman's rank correlation in [-1, 1], ties at their mean rank; 0 as for `pearson`."""
    return _correlation(stats.spearmanr, real_predictions(predictions, labels), labels)


def mse(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared difference, in the square of the label's unit."""
    return float(np.mean((real_predictions(predictions, labels) - labels) ** 2))


def mae(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean absolute difference, in the label's unit."""
    return float(np.mean(np.abs(real_predictions(predictions, labels) - labels)))


def _correlation(measure: Callable[..., Any], predictions: np.ndarray, labels: np.ndarray) -> float:
    """Correlation of rows; raises `DataError` where the labels make it meaningless.

    Differs: scipy gives NaN for constant predictions. A collapsed model knows nothing of the label,
    and a report needs a number, so it is 0 here, as Matthews' correlation is.
    """
    if np.ptp(labels) == 0:
        raise DataError(
            f"a correlation needs labels that differ, all {len(labels)} are {labels[0]}; use mse "
            "or mae"
        )
    if np.ptp(predictions) == 0:
        return 0.0
    return float(measure(predictions, labels.astype(np.float64)).statistic)
