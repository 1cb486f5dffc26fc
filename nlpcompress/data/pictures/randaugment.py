"""RandAugment: a few random operations, all of one strength, on each training picture.

Source: Cubuk et al. 2020 (RandAugment), section 3 and its code listing.
"""

from dataclasses import dataclass

import numpy as np
import torch

from nlpcompress.data.config import RandAugmentConfig
from nlpcompress.data.pictures.operations import OPERATIONS, Picture, on_picture, operate

STRONGEST = 30
IDENTITY = "identity"
OFFERED = (IDENTITY, *(name for name in OPERATIONS if name != "invert"))
"""The paper's fourteen: AutoAugment's, without inverting and with doing nothing."""


@dataclass(frozen=True)
class RandAugment:
    """Changes one picture, uint8 `(H, W, C)` with one or three channels, into another.

    What is drawn comes from torch's generator: of a training it is the seed's, and a resumed
    training draws on where it was.
    """

    config: RandAugmentConfig

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return on_picture(pixels, self._change)

    def _change(self, picture: Picture) -> Picture:
        strength = self.config.magnitude / STRONGEST
        for number in torch.randint(len(OFFERED), (self.config.num_ops,)).tolist():
            if (name := OFFERED[number]) != IDENTITY:
                picture = operate(picture, name, strength)
        return picture
