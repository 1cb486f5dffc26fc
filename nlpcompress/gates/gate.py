"""One gate: the scores that are learnt, and the factor that they put on the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.gates.cover import GatePlaces
from nlpcompress.gates.hard_concrete import HardConcrete


class Gate(nn.Module):
    """A factor for some weights, all of it open at first.

    `places` say which tensors it multiplies, and how. The mask is bool, and is not saved: the
    scores and the step say what it is.
    """

    def __init__(self, places: GatePlaces) -> None:
        super().__init__()
        self.places = places
        mask = torch.ones(places.shape, dtype=torch.bool)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self) -> Tensor:
        """The factor, in the shape of the mask."""
        return self.mask


class ScoreGate(Gate):
    """A gate with a score for each of its values; the mask follows the scores.

    The straight-through estimator hands the factor's gradient to the score as it is: for a factor
    on single weights ∂L/∂S = ∂L/∂W' · W.

    Source: Sanh et al. 2020, section 4, equation 2.
    """

    def __init__(self, places: GatePlaces, *, score: float = 0.0) -> None:
        super().__init__(places)
        self.scores = nn.Parameter(torch.full(places.shape, score))

    def forward(self) -> Tensor:
        """0 or 1, with gradients that pass on to the scores."""
        return _StraightThrough.apply(self.scores, self.mask)


class FixedGate(Gate):
    """A gate whose mask is given, and stays.

    `mask` is bool, with as many values as the places have, in their order. Nothing says again what
    it was, so it is saved in checkpoints: a training that is resumed has the masks of its start.
    """

    def __init__(self, places: GatePlaces, *, mask: Tensor) -> None:
        super().__init__(places)
        fixed = mask.detach().to(torch.bool).reshape(places.shape).clone()
        self.register_buffer("mask", fixed, persistent=True)


class ConcreteGate(Gate):
    """A hard concrete gate: random while training, one number in evaluation."""

    def __init__(
        self, places: GatePlaces, *, distribution: HardConcrete, score: float = 0.0
    ) -> None:
        super().__init__(places)
        self.distribution = distribution
        self.scores = nn.Parameter(torch.full(places.shape, score))

    def forward(self) -> Tensor:
        """In [0, 1], with gradients."""
        if self.training:
            return self.distribution.sample(self.scores)
        return self.distribution.value(self.scores)


class _StraightThrough(torch.autograd.Function):
    """The mask as numbers forward; backward as if it were the scores themselves."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, mask: Tensor) -> Tensor:
        return mask.to(scores.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
