"""How much a batch has of what a loss is a mean over; each gives a scalar tensor.

A step's micro-batches, on one process or several, rarely have as many tokens each: the mean of
their means is not the mean over the step. With what an `Objective` counts the trainer weighs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Batch = Mapping[str, torch.Tensor]

IGNORED = -100
"""The label that losses of transformers pass over."""


def examples(batch: Batch) -> torch.Tensor:
    """Rows."""
    some = next(value for value in batch.values() if hasattr(value, "new_zeros"))
    return some.new_zeros(()).float() + len(some)  # filled where it is: nothing waits


def labels(batch: Batch) -> torch.Tensor:
    """Tokens with a label; rows, where labels are not one a token."""
    return (batch["labels"] != IGNORED).sum() if _of_tokens(batch) else examples(batch)


def answered_tokens(batch: Batch) -> torch.Tensor:
    """Tokens that are no padding, labelled or not; rows, where labels are not one a token."""
    return tokens(batch) if _of_tokens(batch) else examples(batch)


def tokens(batch: Batch) -> torch.Tensor:
    """Tokens that are no padding; rows, where nothing is padded."""
    mask = batch.get("attention_mask")
    return examples(batch) if mask is None else mask.sum()


def token_pairs(batch: Batch) -> torch.Tensor:
    """Pairs of such tokens of one row."""
    mask = batch.get("attention_mask")
    return examples(batch) if mask is None else mask.sum(-1).square().sum()


def _of_tokens(batch: Batch) -> bool:
    found = batch.get("labels")
    if found is None or not hasattr(found, "dim"):  # detectors have a list
        return False
    return found.dim() > 1 and not found.is_floating_point()
