"""Examples that know their number, so that a stored teacher's answers to them can be found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nlpcompress.models.feature_table import FeatureTable
from nlpcompress.models.stored_teacher import FEATURES, ROW

Collate = Callable[[list[Any]], dict[str, Tensor]]


class Numbered(Dataset):
    """The examples of a data set, each with its number."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.dataset[index], ROW: index}


@dataclass(frozen=True)
class CollateNumbered:
    """Batches as `collate` makes them, with the numbers of numbered examples, and their features.

    The features are read where the batch is made: by the data loader's workers, if it has some.
    """

    collate: Collate
    table: FeatureTable | None = None

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collate([{k: v for k, v in row.items() if k != ROW} for row in examples])
        rows = [example[ROW] for example in examples if ROW in example]
        if not rows:
            return batch
        features = {} if self.table is None else self.table.read(rows, batch.get("attention_mask"))
        return {**batch, ROW: torch.tensor(rows), **({FEATURES: features} if features else {})}
