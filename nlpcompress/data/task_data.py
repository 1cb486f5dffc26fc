"""Data ready for a task: what trainers, scoring, evaluation and export are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets
import torch

Collate = Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class TaskData:
    """Two splits and the function that makes a batch of some of their rows.

    Rows hold `labels` and, for text, the tokenizer's outputs, or, for pictures, raw pixels under
    `pixel_values` (that name, because Trainer drops columns the model does not take); `collate`
    pads, masks, or scales and normalises, and `changing_collate` changes pictures at random before.
    `labels` are the classes in the order of their numbers; for a regression the name of the one
    number; none for masked-lm and pretraining, whose training rows get their `labels` when they are
    collated. `together` training rows in a row belong into one batch: a pair in both orders.
    """

    task: str
    labels: tuple[str, ...]
    train: datasets.Dataset
    test: datasets.Dataset
    collate: Collate
    changing_collate: Collate | None = None
    together: int = 1

    @property
    def train_collate(self) -> Collate:
        """What a training makes batches by: `changing_collate` where there is one, drawn anew each
        time.
        """
        return self.changing_collate or self.collate
