"""Examples that belong together in one batch, in an order that the seed and the epoch fix."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class Blocks(Sampler[int]):
    """Examples in runs of `size`, as they lie in the data set, the runs in random order.

    A batch holds whole runs where `size` divides its size. A run at the end may be shorter; it
    comes last, so that it moves no other across the border of a batch.
    """

    def __init__(self, count: int, *, size: int, seed: int) -> None:
        self.count, self.size, self.seed, self.epoch = count, size, seed, 0

    def __len__(self) -> int:
        return self.count

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader when an epoch begins, or is gone on with."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        runs = self.count // self.size
        for run in torch.randperm(runs, generator=generator).tolist():
            yield from range(run * self.size, (run + 1) * self.size)
        yield from range(runs * self.size, self.count)
