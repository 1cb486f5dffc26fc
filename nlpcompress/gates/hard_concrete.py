"""The hard concrete distribution: random gates in [0, 1] that are exactly 0 or 1 with some chance.

Source: Louizos et al. 2018, section 2.2 and equations 10 to 13.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class HardConcrete(NamedTuple):
    """Its temperature, the interval it is stretched to before it is clipped, and the noise's edge.

    Voita et al. 2019 use a temperature of 0.33 and an edge of 1e-6, Sanh et al. 2020 2/3 and 1e-4.
    """

    temperature: float = 2 / 3
    low: float = -0.1
    high: float = 1.1
    edge: float = 1e-6

    def sample(self, log_alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Random gates for training, of the shape of `log_alpha`, with gradients to it."""
        noise = torch.empty_like(log_alpha).uniform_(self.edge, 1 - self.edge, generator=generator)
        logits = noise.logit_() + log_alpha
        return self._stretched((logits / self.temperature).sigmoid())

    def value(self, log_alpha: Tensor) -> Tensor:
        """The gates of evaluation: no noise, and no temperature."""
        return self._stretched(log_alpha.sigmoid())

    def chance_open(self, log_alpha: Tensor) -> Tensor:
        """P(gate ≠ 0), the expected L0 norm of each gate."""
        return (log_alpha - self.temperature * math.log(-self.low / self.high)).sigmoid()

    def _stretched(self, uniform: Tensor) -> Tensor:
        return (uniform * (self.high - self.low) + self.low).clamp(0, 1)
