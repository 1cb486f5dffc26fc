"""Mixup: each training picture is mixed with another one of its batch, and so are their labels.

Source: Zhang et al. 2018 (mixup: Beyond Empirical Risk Minimization), section 2: one weight a
batch, drawn from Beta(α, α), and the batch against itself in another order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import one_hot

from nlpcompress.data.config import MixupConfig

SOFT_LABELS = "soft_labels"
"""Of a batch: float32 `(B, classes)`, what a training learns in place of `labels`."""
Row = dict[str, Any]


@dataclass(frozen=True)
class MixupCollate:
    """Batches as `collate` makes them, mixed; `labels` are those of the larger part.

    What is drawn comes from torch's generator: of a training it is the seed's, and a resumed
    training draws on where it was.
    """

    collate: Callable[[list[Row]], dict[str, torch.Tensor]]
    config: MixupConfig
    classes: int

    @property
    def unchanged(self) -> Callable[[list[Row]], dict[str, torch.Tensor]]:
        """What makes batches of the pictures as they are."""
        return getattr(self.collate, "unchanged", self.collate)

    def __call__(self, rows: list[Row]) -> dict[str, torch.Tensor]:
        batch = self.collate(rows)
        pixels, labels = batch["pixel_values"], one_hot(batch["labels"], self.classes).float()
        weight = torch.distributions.Beta(self.config.alpha, self.config.alpha).sample()
        order = torch.randperm(len(pixels))
        soft = torch.lerp(labels[order], labels, weight)
        return {
            **batch,
            "pixel_values": torch.lerp(pixels[order], pixels, weight),
            "labels": soft.argmax(1),
            SOFT_LABELS: soft,
        }
