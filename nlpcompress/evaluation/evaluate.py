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
from nlpcompress.evaluation.heads import ORDER, TOKENS, Answers, both, of_head
from nlpcompress.evaluation.metrics import load_metrics
from nlpcompress.evaluation.tally import Tally, tally_of
from nlpcompress.models.pretraining import ORDER_LABELS, order_logits, token_logits

Batch = dict[str, torch.Tensor]
Predict = Callable[[Batch], Answers]


def evaluate(
    predict: Predict,
    dataset: datasets.Dataset,
    collate: Callable[[list[dict[str, Any]]], Batch],
    *,
    metrics: Sequence[str],
    batch_size: int = 32,
) -> dict[str, float]:
    """Each metric's value over the whole data set, and `samples`, the number of its rows.

    `predict` is given batches without labels, the longest texts first, and returns logits `(B, C)`
    or `(B, 1)`, or those of tokens, `(B, T, V)`: of these no more than a batch is held. Where
    batches also have a label of pairs, it returns both, `{"tokens": (B, T, V), "order": (B, 2)}`,
    and each metric sees its own. Raises `DataError` (empty set, no labels, NaN) and
    `UnknownNameError`, the latter before anything is predicted.
    """
    tallies = _tallies(metrics)
    if len(dataset) == 0:
        raise DataError("the data set to evaluate on has no rows; at least one is needed")
    rows = _by_length(dataset)
    for predictions, labels in _predicted(predict, rows, collate, batch_size=batch_size):
        _add(tallies, predictions, labels)
    return {**_values(tallies), "samples": len(dataset)}


def predict_all(
    predict: Predict,
    dataset: datasets.Dataset,
    collate: Callable[[list[dict[str, Any]]], Batch],
    *,
    batch_size: int = 32,
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions `(N, …)` and labels `(N,)` of every row, in order, of a model with one head.

    Raises `DataError` when rows have no labels.
    """
    pairs = list(_predicted(predict, dataset, collate, batch_size=batch_size))
    predictions, labels = zip(*pairs, strict=True)
    return np.concatenate(predictions), np.concatenate(labels)


def torch_predictor(model: nn.Module) -> Predict:
    """`predict(batch)` → logits float32 on the CPU, of a model that returns `.logits`, or those of
    both heads of a model for pretraining, as `evaluate` has them.

    Runs on the model's device, in eval mode, without gradients; train or eval mode is put back
    after each batch.
    """

    def predict(batch: Batch) -> Answers:
        device = next(model.parameters()).device
        with eval_mode(model), torch.no_grad():
            outputs = model(**{name: tensor.to(device) for name, tensor in batch.items()})
        return answers_of(outputs)

    return predict


def answers_of(outputs: Any) -> Answers:
    """A model's output as a prediction: what `evaluate` reads."""
    tokens, order = token_logits(outputs), order_logits(outputs)
    return _array(tokens) if order is None else {TOKENS: _array(tokens), ORDER: _array(order)}


def compute_metrics_for(names: Sequence[str]) -> Callable[..., dict[str, float]]:
    """`compute_metrics` for a Trainer; names are checked now, not after an epoch.

    With `batch_eval_metrics=True` in its arguments a Trainer holds no more than a batch of logits:
    use it for metrics of tokens. Labels that are several are those of a model for pretraining.
    Raises as `load_metrics` does.
    """
    tallies = _tallies(names)

    def compute(prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        outputs, labels = prediction.predictions, prediction.label_ids
        answers: Answers
        truth: Answers
        if isinstance(labels, tuple):
            answers, truth = (_arrays(both(values)) for values in (outputs, labels))
        else:
            answers = _array(outputs[0] if isinstance(outputs, tuple) else outputs)
            truth = _array(labels)
        _add(tallies, answers, truth)
        if not compute_result:
            return {}
        whole = dict(tallies)
        tallies.update(_tallies(names))
        return _values(whole)

    return compute


def _tallies(names: Sequence[str]) -> dict[str, Tally]:
    return {name: tally_of(metric) for name, metric in load_metrics(names).items()}


def _add(tallies: Mapping[str, Tally], predictions: Answers, labels: Answers) -> None:
    for name, tally in tallies.items():
        tally.add(of_head(name, predictions), of_head(name, labels))


def _values(tallies: Mapping[str, Tally]) -> dict[str, float]:
    return {name: tally.value() for name, tally in tallies.items()}


def _by_length(dataset: datasets.Dataset) -> datasets.Dataset:
    """Texts of like lengths together, so that there is little padding, the longest first."""
    if "input_ids" not in dataset.column_names:
        return dataset
    lengths = np.array([len(ids) for ids in dataset["input_ids"]])
    return dataset if np.ptp(lengths) == 0 else dataset.select(np.argsort(-lengths, kind="stable"))


def _predicted(
    predict: Predict,
    dataset: datasets.Dataset,
    collate: Callable[[list[dict[str, Any]]], Batch],
    *,
    batch_size: int,
) -> Iterator[tuple[Any, Any]]:
    """Predictions and labels, batch by batch."""
    for start in range(0, len(dataset), batch_size):
        rows = dataset.select(range(start, min(start + batch_size, len(dataset))))
        batch = dict(collate(list(rows)))
        if "labels" not in batch:
            raise DataError(
                "rows have no 'labels' to evaluate against (columns: "
                f"{', '.join(dataset.column_names)})"
            )
        labels = _taken_labels(batch)
        predictions = predict(batch)
        if isinstance(predictions, Mapping):
            yield _arrays(predictions), labels
        else:
            yield np.asarray(predictions), labels


def _taken_labels(batch: Batch) -> Answers:
    """The labels, which are no longer in the batch then: one array, or those of both heads."""
    labels = batch.pop("labels").numpy()
    order = [batch.pop(name).numpy() for name in ORDER_LABELS.values() if name in batch]
    return {TOKENS: labels, ORDER: order[0]} if order else labels


def _arrays(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: _array(value) for name, value in values.items()}


def _array(values: Any) -> np.ndarray:
    """On the CPU, as numpy has it: a Trainer that computes batch by batch gives tensors."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    return (values.float() if values.is_floating_point() else values).numpy(force=True)
