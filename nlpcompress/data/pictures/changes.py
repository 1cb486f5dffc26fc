"""All changes of one training picture that a config asks for, one after another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlpcompress.data.config import DataConfig
from nlpcompress.data.pictures.autoaugment import AutoAugment
from nlpcompress.data.pictures.placing import Crop, Mirror
from nlpcompress.data.pictures.randaugment import RandAugment

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Changes:
    """One after another, on a picture, uint8 `(H, W, C)`."""

    parts: tuple[Change, ...]

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        for part in self.parts:
            pixels = part(pixels)
        return pixels


def changes_of(config: DataConfig) -> Changes | None:
    """Crop, mirror, then a policy's operations; None where pictures stay as they are."""
    parts: list[Change] = []
    if config.crop:
        parts.append(Crop(config.crop))
    if config.flip:
        parts.append(Mirror())
    if config.autoaugment is not None:
        parts.append(AutoAugment(config.autoaugment))
    if config.randaugment is not None:
        parts.append(RandAugment(config.randaugment))
    return Changes(tuple(parts)) if parts else None
