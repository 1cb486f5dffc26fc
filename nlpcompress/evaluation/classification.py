"""Metrics of class predictions: logits `(N, C)` against class numbers `(N,)`."""

import numpy as np
from sklearn import metrics

from nlpcompress.errors import DataError
from nlpcompress.evaluation.inputs import predicted_classes


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest logit is the label's."""
    return float(np.mean(predicted_classes(predictions, labels) == labels))


def order_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of pairs of segments told to be in order (0) or swapped (1), as they are."""
    return float(np.mean(_of_two(predictions, labels, "order_accuracy") == labels))


def balanced_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur of the share found of each."""
    predicted = predicted_classes(predictions, labels)
    return float(
        np.mean([np.mean(predicted[labels == label] == label) for label in np.unique(labels)])
    )


def f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    """F1 of class 1 of two; 0 when it is neither predicted nor present."""
    return float(metrics.f1_score(labels, _of_two(predictions, labels, "f1"), zero_division=0))


def f1_macro(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Unweighted mean of every class's F1, over the classes predicted or present."""
    predicted = predicted_classes(predictions, labels)
    return float(metrics.f1_score(labels, predicted, average="macro", zero_division=0))


def precision(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of the rows predicted as class 1 of two that are; 0 when none is predicted."""
    return float(
        metrics.precision_score(labels, _of_two(predictions, labels, "precision"), zero_division=0)
    )


def recall(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of the rows of class 1 of two that are found; 0 when there are none."""
    return float(
        metrics.recall_score(labels, _of_two(predictions, labels, "recall"), zero_division=0)
    )


def matthews_correlation(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Matthews' correlation in [-1, 1]; 0 when all predictions, or all labels, are one class.

    Source: B.W. Matthews 1975; for several classes J. Gorodkin 2004.
    """
    return float(metrics.matthews_corrcoef(labels, predicted_classes(predictions, labels)))


def _of_two(predictions: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
    predicted = predicted_classes(predictions, labels)
    if predictions.shape[1] != 2:
        raise DataError(
            f"{name} is of two classes, got logits of {predictions.shape[1]}; use f1_macro or "
            "accuracy"
        )
    return predicted
