"""What a trainer's methods may look at: its data, in an order of its own, and its teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from nlpcompress.core.method import Context
from nlpcompress.errors import DataError
from nlpcompress.scoring import same_randomness

EXAMPLES = 2


class Batches:
    """A fresh pass over training batches a call, in one shuffled order that `seed` fixes.

    Every process sees the same batches, and no random state or data loader of the trainer moves.
    """

    def __init__(
        self,
        dataset: Dataset,
        collate: Callable[..., Mapping[str, Tensor]],
        *,
        size: int,
        seed: int,
    ) -> None:
        self.dataset, self.collate, self.size, self.seed = dataset, collate, size, seed

    def __call__(self) -> Iterator[dict[str, Tensor]]:
        if isinstance(self.dataset, Sized) and not len(self.dataset):
            raise DataError("the training data set is empty: no examples to look at")
        loader = DataLoader(
            self.dataset,
            batch_size=self.size,
            collate_fn=self.collate,
            shuffle=not isinstance(self.dataset, IterableDataset),
            generator=torch.Generator().manual_seed(self.seed),
        )
        for batch in loader:
            yield {key: value for key, value in batch.items() if isinstance(value, Tensor)}


def make_context(
    batches: Batches,
    *,
    label_names: Sequence[str],
    teacher: nn.Module | None,
    example_inputs: Mapping[str, Tensor] | None = None,
    cache: Path | None = None,
    processor: Any = None,
) -> Context:
    """A context; without `example_inputs` the first examples, less their labels, are taken."""
    if example_inputs is None:
        example_inputs = _examples(batches, label_names)
    return Context(example_inputs, batches, teacher, batches.seed, cache=cache, processor=processor)


def _examples(batches: Batches, label_names: Sequence[str]) -> dict[str, Tensor]:
    with same_randomness(batches.seed):
        batch = next(batches(), None)
    if batch is None:
        raise DataError("the training data set yields no examples to look at")
    return {key: value[:EXAMPLES] for key, value in batch.items() if key not in label_names}
