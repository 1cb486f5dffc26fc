"""Two heads: each metric sees its own logits and labels, and one head is as it always was."""

import datasets
import numpy as np
import pytest
import torch
from transformers import EvalPrediction

from nlpcompress.errors import DataError
from nlpcompress.evaluation.evaluate import compute_metrics_for, evaluate
from nlpcompress.evaluation.heads import HEADS, of_head
from nlpcompress.evaluation.metrics import METRICS, default_metrics

NAMES = ["masked_accuracy", "masked_loss", "order_accuracy"]
LABELS = [[1, -100], [-100, 0], [2, 2]]
SWAPPED = [0, 1, 1]


@pytest.fixture
def rows():
    return datasets.Dataset.from_dict(
        {"input_ids": [[5, 6]] * 3, "labels": LABELS, "order": SWAPPED}
    )


def collate_as(name):
    def collate(rows):
        ids, labels = ([row[key] for row in rows] for key in ("input_ids", "labels"))
        order = torch.tensor([row["order"] for row in rows])
        return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), name: order}

    return collate


def predict(batch):
    """Always token 2, and the first row of three in order."""
    assert set(batch) == {"input_ids"}, "no label reaches the model"
    size = len(batch["input_ids"])
    tokens = np.tile([0.0, 0.0, 1.0], (size, 2, 1))
    return {"tokens": tokens, "order": np.tile([1.0, 0.0], (size, 1))}


@pytest.mark.parametrize("name", ["sentence_order_label", "next_sentence_label"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_each_metric_sees_its_own_head(rows, name, batch_size):
    found = evaluate(predict, rows, collate_as(name), metrics=NAMES, batch_size=batch_size)
    assert found["masked_accuracy"] == 2 / 4
    assert found["order_accuracy"] == pytest.approx(1 / 3)
    right, wrong = np.log(2 + np.e) - 1, np.log(2 + np.e)
    assert found["masked_loss"] == pytest.approx((right + wrong) / 2)
    assert found["samples"] == 3


def test_a_trainers_tuples_are_the_same_heads():
    tokens = np.tile([0.0, 0.0, 1.0], (3, 2, 1))
    order = np.tile([1.0, 0.0], (3, 1))
    compute = compute_metrics_for(NAMES)
    found = compute(EvalPrediction((tokens, order), (np.array(LABELS), np.array(SWAPPED))))
    assert found["masked_accuracy"] == 2 / 4
    assert found["order_accuracy"] == pytest.approx(1 / 3)


def test_a_metric_of_neither_head_is_refused_at_the_first_batch(rows):
    with pytest.raises(DataError, match="'accuracy' is of neither; choose some of: masked_acc"):
        evaluate(predict, rows, collate_as("next_sentence_label"), metrics=["accuracy"])


def test_one_head_passes_through():
    logits = np.ones((2, 2))
    assert of_head("accuracy", logits) is logits
    assert of_head("order_accuracy", logits) is logits


def test_the_tables_know_the_metrics():
    assert set(HEADS) <= set(METRICS)
    assert set(default_metrics("pretraining")) <= set(HEADS)
