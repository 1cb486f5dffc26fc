"""Where a picture lies, and which way it looks: random crops and mirrors.

Source: He et al. 2016 (Deep Residual Learning), section 4.2: pad CIFAR-10's pictures with 4 pixels
a side, cut their size out at a random place, and mirror half of them.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Crop:
    """Moves a picture, uint8 `(H, W, C)`, by up to `padding` pixels; what it leaves is black."""

    padding: int

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        height, width, _ = pixels.shape
        padded = np.pad(
            pixels, ((self.padding, self.padding), (self.padding, self.padding), (0, 0))
        )
        top, left = torch.randint(2 * self.padding + 1, (2,)).tolist()
        return padded[top : top + height, left : left + width]


@dataclass(frozen=True)
class Mirror:
    """Mirrors half of the pictures, uint8 `(H, W, C)`, left to right."""

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(pixels[:, ::-1]) if torch.rand(()) < 0.5 else pixels
