"""AutoAugment: one of 25 learned pairs of operations on each training picture.

Source: Cubuk et al. 2019 (AutoAugment), section 3 and tables 7 to 9, as data: the policies found on
CIFAR-10, SVHN and ImageNet. Each operation has a chance and a strength of 0 to 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from nlpcompress.data.config import Policy
from nlpcompress.data.pictures.operations import Picture, on_picture, operate

STRONGEST = 9


class Step(NamedTuple):
    """One operation of a pair."""

    name: str
    chance: float
    magnitude: int = 0


Pair = tuple[Step, Step]

_CIFAR10 = """
    invert 0.1, contrast 0.2 6
    rotate 0.7 2, translate_x 0.3 9
    sharpness 0.8 1, sharpness 0.9 3
    shear_y 0.5 8, translate_y 0.7 9
    auto_contrast 0.5, equalize 0.9
    shear_y 0.2 7, posterize 0.3 7
    color 0.4 3, brightness 0.6 7
    sharpness 0.3 9, brightness 0.7 9
    equalize 0.6, equalize 0.5
    contrast 0.6 7, sharpness 0.6 5
    color 0.7 7, translate_x 0.5 8
    equalize 0.3, auto_contrast 0.4
    translate_y 0.4 3, sharpness 0.2 6
    brightness 0.9 6, color 0.2 8
    solarize 0.5 2, invert 0.0
    equalize 0.2, auto_contrast 0.6
    equalize 0.2, equalize 0.6
    color 0.9 9, equalize 0.6
    auto_contrast 0.8, solarize 0.2 8
    brightness 0.1 3, color 0.7 0
    solarize 0.4 5, auto_contrast 0.9
    translate_y 0.9 9, translate_y 0.7 9
    auto_contrast 0.9, solarize 0.8 3
    equalize 0.8, invert 0.1
    translate_y 0.7 9, auto_contrast 0.9
"""
_SVHN = """
    shear_x 0.9 4, invert 0.2
    shear_y 0.9 8, invert 0.7
    equalize 0.6, solarize 0.6 6
    invert 0.9, equalize 0.6
    equalize 0.6, rotate 0.9 3
    shear_x 0.9 4, auto_contrast 0.8
    shear_y 0.9 8, invert 0.4
    shear_y 0.9 5, solarize 0.2 6
    invert 0.9, auto_contrast 0.8
    equalize 0.6, rotate 0.9 3
    shear_x 0.9 4, solarize 0.3 3
    shear_y 0.8 8, invert 0.7
    equalize 0.9, translate_y 0.6 6
    invert 0.9, equalize 0.6
    contrast 0.3 3, rotate 0.8 4
    invert 0.8, translate_y 0.0 2
    shear_y 0.7 6, solarize 0.4 8
    invert 0.6, rotate 0.8 4
    shear_y 0.3 7, translate_x 0.9 3
    shear_x 0.1 6, invert 0.6
    solarize 0.7 2, translate_y 0.6 7
    shear_y 0.8 4, invert 0.8
    shear_x 0.7 9, translate_y 0.8 3
    shear_y 0.8 5, auto_contrast 0.7
    shear_x 0.7 2, invert 0.1
"""
_IMAGENET = """
    posterize 0.4 8, rotate 0.6 9
    solarize 0.6 5, auto_contrast 0.6
    equalize 0.8, equalize 0.6
    posterize 0.6 7, posterize 0.6 6
    equalize 0.4, solarize 0.2 4
    equalize 0.4, rotate 0.8 8
    solarize 0.6 3, equalize 0.6
    posterize 0.8 5, equalize 1.0
    rotate 0.2 3, solarize 0.6 8
    equalize 0.6, posterize 0.4 6
    rotate 0.8 8, color 0.4 0
    rotate 0.4 9, equalize 0.6
    equalize 0.0, equalize 0.8
    invert 0.6, equalize 1.0
    color 0.6 4, contrast 1.0 8
    rotate 0.8 8, color 1.0 2
    color 0.8 8, solarize 0.8 7
    sharpness 0.4 7, invert 0.6
    shear_x 0.6 5, equalize 1.0
    color 0.4 0, equalize 0.6
    equalize 0.4, solarize 0.2 4
    solarize 0.6 5, auto_contrast 0.6
    invert 0.6, equalize 1.0
    color 0.6 4, contrast 1.0 8
    equalize 0.8, equalize 0.6
"""


def _pairs(table: str) -> tuple[Pair, ...]:
    return tuple(_pair(line) for line in table.strip().splitlines())


def _pair(line: str) -> Pair:
    first, second = (_step(words.split()) for words in line.split(","))
    return first, second


def _step(words: list[str]) -> Step:
    name, chance, *magnitude = words
    return Step(name, float(chance), *map(int, magnitude))


POLICIES: Mapping[Policy, tuple[Pair, ...]] = MappingProxyType(
    {"cifar10": _pairs(_CIFAR10), "svhn": _pairs(_SVHN), "imagenet": _pairs(_IMAGENET)}
)


@dataclass(frozen=True)
class AutoAugment:
    """Changes one picture, uint8 `(H, W, C)` with one or three channels, into another.

    What is drawn comes from torch's generator, as RandAugment's is.
    """

    policy: Policy

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return on_picture(pixels, self._change)

    def _change(self, picture: Picture) -> Picture:
        pairs = POLICIES[self.policy]
        for step in pairs[int(torch.randint(len(pairs), ()))]:
            if torch.rand(()) < step.chance:
                picture = operate(picture, step.name, step.magnitude / STRONGEST)
        return picture
