"""What a metric is given, checked: as many predictions as labels, and every number finite."""

import numpy as np

from nlpcompress.errors import DataError


def check_pair(predictions: np.ndarray, labels: np.ndarray) -> None:
    """Raises `DataError`: no rows, counts that differ, a number that is NaN or infinite."""
    if len(labels) == 0:
        raise DataError("a metric needs at least one row, got none")
    if len(predictions) != len(labels):
        raise DataError(
            f"{len(predictions)} predictions for {len(labels)} labels; they must match row by row"
        )
    for what, values in (("predictions", predictions), ("labels", labels)):
        rows = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
        if rows:
            raise DataError(
                f"{rows} of {len(values)} {what} are NaN or infinite; no metric is computed from "
                "them"
            )


def predicted_classes(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class of the largest logit, the first of equals: int64 `(N,)`. Raises `DataError`."""
    check_classes(predictions, labels)
    return predictions.argmax(axis=1)


def check_classes(predictions: np.ndarray, labels: np.ndarray) -> None:
    """Raises `DataError` unless they are finite logits `(N, C)` and numbers below C `(N,)`."""
    check_pair(predictions, labels)
    if predictions.ndim != 2 or predictions.shape[1] < 2 or labels.ndim != 1:
        raise DataError(
            "classification needs logits (N, C) with C ≥ 2 and labels (N,), got "
            f"{predictions.shape} and {labels.shape}"
        )
    classes = predictions.shape[1]
    if labels.min() < 0 or labels.max() >= classes or (labels != np.floor(labels)).any():
        raise DataError(
            f"labels reach from {labels.min()} to {labels.max()}; {classes} logits allow 0 to "
            f"{classes - 1}"
        )


def real_predictions(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Predictions float64 `(N,)` from `(N,)` or `(N, 1)`. Raises `DataError`."""
    check_pair(predictions, labels)
    if labels.ndim != 1 or predictions.shape not in ((len(labels),), (len(labels), 1)):
        raise DataError(
            f"regression needs one number a row, got predictions {predictions.shape} and labels "
            f"{labels.shape}"
        )
    return predictions.reshape(-1).astype(np.float64)
