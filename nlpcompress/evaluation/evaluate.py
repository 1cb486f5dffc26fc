"""Metrics of anything that predicts a batch: a torch model, an ONNX session, a function."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import datasets
import numpy as np
import torch
from torch import nn
from transformers import EvalPrediction

from nlpcompress.errors import DataError
from nlpcompress.evaluation.metrics import load_metrics

Batch = dict[str, torch.Tensor]
Predict = Callable[[Batch], np.ndarray]


def evaluate(
    predict: Predict,
    dataset: datasets.Dataset,
    collate: Callable[[list[dict[str, Any]]], Batch],
    *,
    metrics: Sequence[str],
    batch_size: int = 32,
) -> dict[str, float]:
    """Each metric's value over the whole data set, and `samples`, the number of its rows.

    `predict` is given batches without labels, in the order of the rows, and returns logits `(B, C)`
    or `(B, 1)`. Raises `DataError` (empty set, no labels, NaN) and `UnknownNameError`, the latter
    before anything is predicted.
    """
    wanted = load_metrics(metrics)
    if len(dataset) == 0:
        raise DataError("the data set to evaluate on has no rows; at least one is needed")
    predictions, labels = predict_all(predict, dataset, collate, batch_size=batch_size)
    values = {name: metric(predictions, labels) for name, metric in wanted.items()}
    return {**values, "samples": len(labels)}


def predict_all(
    predict: Predict,
    dataset: datasets.Dataset,
    collate: Callable[[list[dict[str, Any]]], Batch],
    *,
    batch_size: int = 32,
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions `(N, …)` and labels `(N,)` of every row, in order.

    Raises `DataError` when rows have no labels.
    """
    predictions, labels = [], []
    for start in range(0, len(dataset), batch_size):
        rows = dataset.select(range(start, min(start + batch_size, len(dataset))))
        batch = dict(collate(list(rows)))
        if "labels" not in batch:
            raise DataError(
                "rows have no 'labels' to evaluate against (columns: "
                f"{', '.join(dataset.column_names)})"
            )
        labels.append(batch.pop("labels").numpy())
        predictions.append(np.asarray(predict(batch)))
    return np.concatenate(predictions), np.concatenate(labels)


def torch_predictor(model: nn.Module) -> Predict:
    """`predict(batch)` → logits float32 on the CPU, of a model that returns `.logits`.

    Runs on the model's device, in eval mode, without gradients; train or eval mode is put back
    after each batch.
    """

    def predict(batch: Batch) -> np.ndarray:
        device = next(model.parameters()).device
        with _evaluating(model), torch.no_grad():
            logits = model(**{name: tensor.to(device) for name, tensor in batch.items()}).logits
        return logits.float().cpu().numpy()

    return predict


def compute_metrics_for(names: Sequence[str]) -> Callable[[EvalPrediction], dict[str, float]]:
    """`compute_metrics` for a Trainer; names are checked now, not after an epoch.

    Raises as `load_metrics` does.
    """
    wanted = load_metrics(names)

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        outputs = prediction.predictions
        logits = np.asarray(outputs[0] if isinstance(outputs, tuple) else outputs)
        labels = np.asarray(prediction.label_ids)
        return {name: metric(logits, labels) for name, metric in wanted.items()}

    return compute


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
