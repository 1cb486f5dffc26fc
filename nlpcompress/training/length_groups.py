"""Batches of examples of like length, in an order that the seed and the epoch fix."""

from collections.abc import Iterator

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler


class LengthGroups(LengthGroupedSampler):
    """As the sampler it is made from, which draws from the global random state: a training that was
    killed in its second epoch would go on with another order of the examples.
    """

    def __init__(self, sampler: LengthGroupedSampler, *, seed: int) -> None:
        super().__init__(sampler.batch_size, lengths=sampler.lengths)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader when an epoch begins, or is gone on with."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return super().__iter__()
