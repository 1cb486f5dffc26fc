"""Batches that exports, comparisons and timings run on, made of rows of the test set."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nlpcompress.data.task_data import TaskData
from nlpcompress.export.inputs import resized
from nlpcompress.models.pretraining import ORDER_LABELS
from nlpcompress.recipe.schema import BenchConfig, Recipe
from nlpcompress.scoring import first_examples
from nlpcompress.training.context import Batches

Batch = dict[str, Tensor]
LABELS = frozenset({"labels", *ORDER_LABELS.values()})


def first_batch(data: TaskData, rows: int = 2) -> Batch:
    """The first test rows, without labels: every input that the processor makes is there."""
    chosen = data.test.select(range(min(rows, len(data.test))))
    return {name: value for name, value in data.collate(list(chosen)).items() if name not in LABELS}


def test_batches(data: TaskData, *, batch_size: int, limit: int) -> Iterator[Batch]:
    """The first `limit` test rows in batches without labels, each as long as its longest row."""
    rows = min(limit, len(data.test))
    for start in range(0, rows, batch_size):
        chosen = data.test.select(range(start, min(start + batch_size, rows)))
        yield {n: value for n, value in data.collate(list(chosen)).items() if n not in LABELS}


def train_batches(data: TaskData, recipe: Recipe, *, limit: int) -> Iterator[Batch]:
    """`limit` training rows, drawn by the seed, in batches without labels."""
    rows = Batches(data.train, data.collate, size=recipe.evaluate.batch_size, seed=recipe.seed)
    for batch in first_examples(rows(), limit):
        yield {name: value for name, value in batch.items() if name not in LABELS}


def bench_batches(data: TaskData, bench: BenchConfig) -> Iterator[Batch]:
    """One batch for each shape to time, of whole lengths: no padding, and the mask says so."""
    batch = first_batch(data)
    text = not any(value.is_floating_point() for value in batch.values())
    for size in bench.batch_sizes:
        for length in bench.sequence_lengths if text else (0,):
            shaped = resized(batch, {"batch": size, "length": length})
            yield _unmasked(shaped)


def _unmasked(batch: Batch) -> Batch:
    mask = {name: torch.ones_like(batch[name]) for name in batch if name == "attention_mask"}
    return batch | mask
