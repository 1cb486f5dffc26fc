"""Metrics of anything that predicts a batch: a torch model, an ONNX session, a function."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch import nn
from transformers import EvalPrediction

from nlpcompress.core.modes import eval_mode
from nlpcompress.errors import DataError
from nlpcompress.evaluation.metrics import load_metrics
from nlpcompress.evaluation.tally import Tally, tally_of

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
    or `(B, 1)`, or those of tokens, `(B, T, V)`: of these no more than a batch is held. Raises
    `DataError` (empty set, no labels, NaN) and `UnknownNameError`, the latter before anything is
    predicted.
    """
    tallies = _tallies(metrics)
    if len(dataset) == 0:
        raise DataError("the data set to evaluate on has no rows; at least one is needed")
    for predictions, labels in _predicted(predict, dataset, collate, batch_size=batch_size):
        for tally in tallies.values():
            tally.add(predictions, labels)
    return {**_values(tallies), "samples": len(dataset)}


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
    pairs = list(_predicted(predict, dataset, collate, batch_size=batch_size))
    predictions, labels = zip(*pairs, strict=True)
    return np.concatenate(predictions), np.concatenate(labels)


def torch_predictor(model: nn.Module) -> Predict:
    """`predict(batch)` → logits float32 on the CPU, of a model that returns `.logits`.

    Runs on the model's device, in eval mode, without gradients; train or eval mode is put back
    after each batch.
    """

    def predict(batch: Batch) -> np.ndarray:
        device = next(model.parameters()).device
        with eval_mode(model), torch.no_grad():
            logits = model(**{name: tensor.to(device) for name, tensor in batch.items()}).logits
        return logits.float().cpu().numpy()

    return predict


def compute_metrics_for(names: Sequence[str]) -> Callable[..., dict[str, float]]:
    """`compute_metrics` for a Trainer; names are checked now, not after an epoch.

    With `batch_eval_metrics=True` in its arguments a Trainer holds no more than a batch of logits:
    use it for metrics of tokens. Raises as `load_metrics` does.
    """
    tallies = _tallies(names)

    def compute(prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        outputs = prediction.predictions
        logits = _array(outputs[0] if isinstance(outputs, tuple) else outputs)
        for tally in tallies.values():
            tally.add(logits, _array(prediction.label_ids))
        if not compute_result:
            return {}
        whole = dict(tallies)
        tallies.update(_tallies(names))
        return _values(whole)

    return compute


def _tallies(names: Sequence[str]) -> dict[str, Tally]:
    return {name: tally_of(metric) for name, metric in load_metrics(names).items()}


def _values(tallies: Mapping[str, Tally]) -> dict[str, float]:
    return {name: tally.value() for name, tally in tallies.items()}


def _predicted(
    predict: Predict,
    dataset: datasets.Dataset,
    collate: Callable[[list[dict[str, Any]]], Batch],
    *,
    batch_size: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predictions and labels, batch by batch."""
    for start in range(0, len(dataset), batch_size):
        rows = dataset.select(range(start, min(start + batch_size, len(dataset))))
        batch = dict(collate(list(rows)))
        if "labels" not in batch:
            raise DataError(
                "rows have no 'labels' to evaluate against (columns: "
                f"{', '.join(dataset.column_names)})"
            )
        labels = batch.pop("labels").numpy()
        yield np.asarray(predict(batch)), labels


def _array(values: Any) -> np.ndarray:
    """On the CPU, as numpy has it: a Trainer that computes batch by batch gives tensors."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    return (values.float() if values.is_floating_point() else values).numpy(force=True)
