"""Evaluation of anything that predicts, and of torch models and Trainers in particular."""

from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from nlpcompress.errors import DataError, UnknownNameError
from nlpcompress.evaluation.evaluate import (
    compute_metrics_for,
    evaluate,
    predict_all,
    torch_predictor,
)

ROWS = datasets.Dataset.from_dict({"x": list(range(10)), "labels": [row % 2 for row in range(10)]})


def collate(rows):
    return {
        "x": torch.tensor([[float(row["x"])] for row in rows]),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


def parity(batch):
    odd = batch["x"].numpy()[:, 0] % 2
    return np.stack([1 - odd, odd], axis=1)


def test_every_row_is_measured_once_and_labels_are_kept_from_the_predictor():
    seen = []

    def predict(batch):
        assert set(batch) == {"x"}
        seen.append(batch["x"][:, 0].tolist())
        return parity(batch)

    values = evaluate(predict, ROWS, collate, metrics=["accuracy", "f1"], batch_size=4)
    assert values == {"accuracy": 1.0, "f1": 1.0, "samples": 10}
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_texts_of_like_lengths_share_a_batch_the_longest_first():
    lengths = [2, 7, 3, 7, 1]
    rows = {"input_ids": [[row] * n for row, n in enumerate(lengths)], "labels": [0, 1, 1, 0, 1]}
    dataset, seen = datasets.Dataset.from_dict(rows), []

    def padded(rows):
        room = max(len(row["input_ids"]) for row in rows)
        ids = [row["input_ids"] + [9] * (room - len(row["input_ids"])) for row in rows]
        return {
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    def predict(batch):
        seen.append((batch["input_ids"][:, 0].tolist(), batch["input_ids"].shape[1]))
        return np.eye(2)[[rows["labels"][row] for row in batch["input_ids"][:, 0]]]

    values = evaluate(predict, dataset, padded, metrics=["accuracy"], batch_size=2)
    assert values == {"accuracy": 1.0, "samples": 5}
    assert seen == [([1, 3], 7), ([2, 0], 3), ([4], 1)]


def test_the_value_does_not_depend_on_the_batch_size():
    def predict(batch):
        wrong = (batch["x"].numpy()[:, 0] < 3).astype(float)
        return parity(batch) * (1 - wrong[:, None]) + parity(batch)[:, ::-1] * wrong[:, None]

    for batch_size in (1, 3, 10, 64):
        values = evaluate(predict, ROWS, collate, metrics=["accuracy"], batch_size=batch_size)
        assert values["accuracy"] == pytest.approx(0.7)


def test_bad_input_is_refused_before_anything_is_predicted():
    def predict(batch):
        raise AssertionError("must not be called")

    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        evaluate(predict, ROWS, collate, metrics=["accuracyy"])
    with pytest.raises(DataError, match="has no rows"):
        evaluate(predict, ROWS.select([]), collate, metrics=["accuracy"])
    with pytest.raises(DataError, match="no 'labels' to evaluate against"):
        evaluate(predict, ROWS, lambda rows: {"x": torch.zeros(1)}, metrics=["accuracy"])


def test_a_model_that_gives_nan_is_not_scored():
    with pytest.raises(DataError, match="10 of 10 predictions are NaN"):
        evaluate(lambda b: parity(b) * np.nan, ROWS, collate, metrics=["accuracy"])


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.Dropout(0.5).eval()
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(1, 2).to(torch.bfloat16)

    def forward(self, x):
        return SimpleNamespace(logits=self.dropout(self.linear(x.to(torch.bfloat16))))


def test_a_torch_model_predicts_in_eval_mode_without_gradients_and_is_left_as_it_was():
    model = Noisy().train()
    model.frozen.eval()
    predict = torch_predictor(model)
    first, second = (predict({"x": torch.ones(3, 1)}) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert (model.training, model.dropout.training, model.frozen.training) == (True, True, False)
    assert model.linear.weight.grad is None


def test_the_mode_is_put_back_after_an_error():
    model = Noisy().train()
    with pytest.raises(TypeError):
        torch_predictor(model)({"y": torch.ones(1)})
    assert model.training


def tiny_bert():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(vocab_size=20, intermediate_size=32, **sizes))


def test_a_trainer_reports_the_same_numbers(tmp_path):
    ids = np.random.RandomState(0).randint(1, 20, (12, 5)).tolist()
    rows = datasets.Dataset.from_dict({"input_ids": ids, "labels": [0, 1, 1] * 4})

    def stack(batch):
        return {
            name: torch.tensor([row[name] for row in batch]) for name in ("input_ids", "labels")
        }

    model, names = tiny_bert(), ["accuracy", "f1_macro", "matthews_correlation"]
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    trainer = Trainer(
        model, arguments, data_collator=stack, compute_metrics=compute_metrics_for(names)
    )
    reported = trainer.evaluate(rows)
    values = evaluate(torch_predictor(model), rows, stack, metrics=names)
    assert {name: reported[f"eval_{name}"] for name in names} == {n: values[n] for n in names}


def test_a_trainers_tuple_of_outputs_means_its_logits_and_names_are_checked_at_once():
    with pytest.raises(UnknownNameError):
        compute_metrics_for(["acc"])
    logits, labels = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 1])
    prediction = SimpleNamespace(predictions=(logits, np.zeros(3)), label_ids=labels)
    assert compute_metrics_for(["accuracy"])(prediction) == {"accuracy": 0.5}


def test_predictions_and_labels_come_back_row_by_row():
    predictions, labels = predict_all(parity, ROWS, collate, batch_size=3)
    assert predictions.argmax(axis=1).tolist() == labels.tolist() == ROWS["labels"][:]
