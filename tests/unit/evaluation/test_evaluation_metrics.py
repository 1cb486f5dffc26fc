"""Every metric against numbers worked out by hand, and the input it refuses."""

import math

import numpy as np
import pytest

from nlpcompress.errors import DataError, UnknownNameError
from nlpcompress.evaluation.metrics import (
    DEFAULT_METRICS,
    METRICS,
    default_metrics,
    greater_is_better,
    load_metric,
    load_metrics,
)

# predicted 1 0 1 1 0 0, so: 2 true positives, 1 false positive, 1 false negative, 2 true negatives
LOGITS = np.array([[0, 2], [1, 0], [-1, 3], [0.1, 0.2], [5, 4], [9, -9.0]])
LABELS = np.array([1, 0, 1, 0, 1, 0])
# three classes: predicted 0 1 2 2
LOGITS_3 = np.array([[3, 1, 2], [0, 1, 0], [0, 0, 1], [1, 2, 3.0]])
LABELS_3 = np.array([0, 1, 2, 1])
REAL, TRUE = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 3.0, 4.0, 2.0])


@pytest.mark.parametrize(
    ("name", "predictions", "labels", "expected"),
    [
        ("accuracy", LOGITS, LABELS, 4 / 6),
        ("accuracy", LOGITS_3, LABELS_3, 3 / 4),
        ("balanced_accuracy", LOGITS_3, LABELS_3, (1 + 1 / 2 + 1) / 3),
        ("f1", LOGITS, LABELS, 2 / 3),
        ("precision", LOGITS, LABELS, 2 / 3),
        ("recall", LOGITS[:5], LABELS[:5], 2 / 3),
        ("f1_macro", LOGITS_3, LABELS_3, (1 + 2 / 3 + 2 / 3) / 3),
        ("matthews_correlation", LOGITS, LABELS, (2 * 2 - 1 * 1) / math.sqrt(3 * 3 * 3 * 3)),
        ("matthews_correlation", LOGITS, np.ones(6, int), 0.0),
        ("pearson", REAL, TRUE, 0.8),
        ("spearman", REAL**3, TRUE, 0.8),
        ("pearson", np.ones(4), TRUE, 0.0),
        ("spearman", np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), math.sqrt(3) / 2),
        ("mse", REAL, TRUE, 0.5),
        ("mae", REAL, TRUE, 0.5),
        ("mse", REAL[:, None], TRUE, 0.5),
    ],
)
def test_values_are_those_worked_out_by_hand(name, predictions, labels, expected):
    value = load_metric(name)(predictions, labels)
    assert type(value) is float
    assert value == pytest.approx(expected, abs=1e-12)


def test_a_class_never_predicted_counts_zero():
    logits = np.array([[1.0, 0.0]] * 3)
    assert load_metric("precision")(logits, np.array([0, 1, 1])) == 0.0
    assert load_metric("f1")(logits, np.array([0, 1, 1])) == 0.0


def inputs(name):
    regression = name in DEFAULT_METRICS["text-regression"] or name == "mae"
    return (REAL, TRUE) if regression else (LOGITS, LABELS)


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_metric_takes_what_is_not_finite(name, bad):
    predictions, labels = (array.copy() for array in inputs(name))
    predictions[0] = bad
    with pytest.raises(DataError, match=rf"1 of {len(labels)} predictions are NaN or infinite"):
        load_metric(name)(predictions, labels)


@pytest.mark.parametrize("name", list(METRICS))
def test_no_metric_takes_rows_that_do_not_match(name):
    predictions, labels = inputs(name)
    with pytest.raises(DataError, match=f"{len(labels)} predictions for {len(labels) - 1} labels"):
        load_metric(name)(predictions, labels[1:])
    with pytest.raises(DataError, match="at least one row"):
        load_metric(name)(predictions[:0], labels[:0])


@pytest.mark.parametrize(
    ("name", "predictions", "labels", "message"),
    [
        ("accuracy", LOGITS, LABELS + 1, "labels reach from 1 to 2; 2 logits allow 0 to 1"),
        ("accuracy", LOGITS, LABELS - 1, "labels reach from -1"),
        ("accuracy", LOGITS[:, :1], LABELS, r"needs logits \(N, C\) with C ≥ 2"),
        ("f1", LOGITS_3, LABELS_3, "f1 is of two classes, got logits of 3; use f1_macro"),
        ("mse", LOGITS, LABELS, "regression needs one number a row"),
        ("pearson", REAL, np.ones(4), "needs labels that differ, all 4 are 1.0"),
    ],
)
def test_input_of_another_kind_is_refused(name, predictions, labels, message):
    with pytest.raises(DataError, match=message):
        load_metric(name)(predictions, labels)


def test_names_are_checked():
    with pytest.raises(UnknownNameError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        load_metrics(["mse", "acuracy"])
    with pytest.raises(DataError, match="no metric named"):
        load_metrics([])
    with pytest.raises(DataError, match="did you mean 'text-regression'"):
        default_metrics("text-regresion")


def test_only_errors_are_better_when_smaller():
    smaller = [name for name in METRICS if not greater_is_better(name)]
    assert smaller == ["mse", "mae", "masked_loss", "perplexity"]
    assert not greater_is_better("evaluate:/metrics/mse.py#mse")
    assert greater_is_better("evaluate:accuracy")
    with pytest.raises(UnknownNameError):
        greater_is_better("ms")


def test_default_metrics_are_in_the_table():
    assert all(name in METRICS for task in DEFAULT_METRICS for name in default_metrics(task))
