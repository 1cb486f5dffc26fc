"""Whether an example comes to a model alike, whatever examples share its batch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nlpcompress.errors import ConfigError

Batch = dict[str, Tensor]
LOOKED_AT = 8
"""Examples that are compared; random changes touch some of so many."""


def check_companions(dataset: Sequence[Any], inputs: Callable[[list[Any]], Batch]) -> None:
    """Raises `ConfigError` when one of the first examples has other inputs alone than with others.

    `inputs` makes the model's inputs of some examples. Padding is no difference: where there is an
    `attention_mask` `(B, T)` only what it shows counts, elsewhere only what both batches have.
    """
    count = min(LOOKED_AT, len(dataset))
    if count < 2:
        return
    together = inputs([dataset[row] for row in range(count)])
    for row in range(count):
        alone = _of(inputs([dataset[row]]), 0)
        beside = _of(together, row)
        changed = [name for name in alone if name in beside and _differ(alone[name], beside[name])]
        if changed:
            raise ConfigError(
                f"the {changed[0]} of example {row} are others when it is alone in a batch than "
                "beside others, as with random masking: there is no one answer to store; train "
                "with the teacher itself (leave teacher_cache out)"
            )


def _of(batch: Batch, row: int) -> Batch:
    """One example's part of a batch, without what the attention mask hides."""
    mask = batch.get("attention_mask")
    shape = None if mask is None else mask.shape
    return {
        name: value[row][mask[row].bool()] if value.shape[:2] == shape else value[row]
        for name, value in batch.items()
    }


def _differ(one: Tensor, two: Tensor) -> bool:
    """Compared as far as both reach: a text that is not masked may have been padded."""
    if one.dim() != two.dim():
        return True
    common = tuple(slice(min(sizes)) for sizes in zip(one.shape, two.shape, strict=True))
    return not torch.equal(one[common], two[common])
