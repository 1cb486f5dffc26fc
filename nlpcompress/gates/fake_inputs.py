"""Inputs of layers that are rounded while a model trains, between moving averages of their ends.

Source: Shen et al. 2020 (Q-BERT), section 3: activations in 8 bits, ranges as moving averages.
Differs: ranges stand still in evaluations.
"""

import torch
from torch import Tensor, nn

from nlpcompress.models.activations import ends_of, rounded_between


class MovingInputs(nn.Module):
    """As `models.activations.RoundedInputs`, but its ends follow each forward pass in training."""

    ends: Tensor

    def __init__(self, bits: int, *, momentum: float) -> None:
        super().__init__()
        self.bits, self.momentum = bits, momentum
        self.register_buffer("ends", torch.full((2,), torch.nan))

    def forward(self, values: Tensor) -> Tensor:
        """`(…)`; the first inputs of all are rounded between their own ends."""
        new = torch.stack(ends_of(values))
        ends = torch.where(self.ends.isnan(), new, self.ends)
        if self.training:
            self.ends = ends = ends.lerp(new, 1 - self.momentum)
        return rounded_between(values, *ends, self.bits)
