"""Batches for pretraining: pairs of segments, in order or swapped, with some tokens masked."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nlpcompress.data.collate import Row
from nlpcompress.data.masking import MaskingCollate


@dataclass(frozen=True, eq=False)
class PretrainingCollate:
    """What `masking` makes, and the pairs' order under the name that the model has for it.

    Makes `input_ids`, `attention_mask`, `token_type_ids` and `labels`, int64 `(B, T)`, and
    `order_label`, int64 `(B,)`: 0 in order, 1 swapped.

    Source: Lan et al. 2020 (ALBERT), section 3.1: both losses are of the same batch, added up.
    """

    masking: MaskingCollate
    order_label: str

    def __call__(self, rows: list[Row]) -> dict[str, Tensor]:
        order = torch.tensor([row[self.order_label] for row in rows])
        return self.masking(rows) | {self.order_label: order}
