"""A price on the magnitude of some weights: what is worth little in the training goes to zero."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Objective, Progress, Step


class MagnitudePenalty(nn.Module):
    """Adds `weight` · Σ |w| over `tensors` to the training loss; logged as `loss_magnitude`.

    It puts nothing on the model and has nothing to learn. Source: Liu et al. 2017 (Network
    Slimming), equation 1, whose sub-gradient λ · sign(w) is the one that autograd takes.
    """

    def __init__(self, tensors: Sequence[nn.Parameter], weight: float) -> None:
        super().__init__()
        self._tensors = tuple(tensors)
        self.weight = weight

    def parameter_groups(self) -> list[dict[str, Any]]:
        """None."""
        return []

    def objectives(self) -> tuple[Objective, ...]:
        """The price of all magnitudes."""
        return (Objective("magnitude", self.weight, self._magnitude),)

    def advance(self, progress: Progress) -> None:
        """There is no schedule."""

    def close(self) -> None:
        """There is no trace."""

    def _magnitude(self, step: Step) -> Tensor:
        return torch.stack([tensor.abs().sum() for tensor in self._tensors]).sum()
