"""What share of a step's loss each of its micro-batches has."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from nlpcompress.core.method import Objective

KEY = "nlpcompress_shares"
"""Under this name a micro-batch carries its shares, one an objective that counts."""


def add_shares(
    batches: Sequence[MutableMapping[str, Any]],
    objectives: Sequence[Objective],
    accelerator: Accelerator,
) -> None:
    """Put its shares into each batch: its part of what the step counts, times how many there are.

    A loss times its share, averaged over micro-batches and processes, is the mean over all that
    counts in the step. That of a step's only batch is 1, or 0 where nothing counts. Waits for no
    device.
    """
    counting = [objective.count for objective in objectives if objective.count is not None]
    parts = len(batches) * accelerator.num_processes
    if not batches or not counting:
        return
    rows = [torch.stack([count(batch).float() for count in counting]) for batch in batches]
    counts = torch.stack(rows)
    total = accelerator.reduce(counts.sum(0), reduction="sum")
    for batch, shares in zip(batches, counts * parts / total.clamp(min=1), strict=True):
        batch[KEY] = shares


def shared(
    losses: Mapping[str, Tensor], objectives: Sequence[Objective], shares: Tensor | None
) -> dict[str, Tensor]:
    """Each loss times its share, where it has one; 0 where that is 0, and the loss may be NaN."""
    if shares is None:
        return dict(losses)
    counting = [objective.name for objective in objectives if objective.count is not None]
    share_of = dict(zip(counting, shares.unbind(), strict=True))
    return {
        name: _times(loss, share_of[name]) if name in share_of else loss
        for name, loss in losses.items()
    }


def _times(loss: Tensor, share: Tensor) -> Tensor:
    return torch.where(share > 0, loss * share, torch.zeros_like(loss))
