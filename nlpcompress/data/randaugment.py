"""RandAugment: a few random operations, all of one strength, on each training picture.

Source: Cubuk et al. 2020 (RandAugment), section 3 and its code listing; the ranges of the
operations are those of AutoAugment (Cubuk et al. 2019, table 6) with a full strength of 30.
Differs: angles and shifts are at most 30° and 45 % of a side (AutoAugment shifts 150 of 331
pixels), so that they suit pictures of any size; what a picture leaves free is black.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

from nlpcompress.data.config import RandAugmentConfig

STRONGEST = 30
Picture = Image.Image
Operation = Callable[[Picture, float], Picture]


def _shear(picture: Picture, by: float, *, along_rows: bool) -> Picture:
    matrix = (1, by, 0, 0, 1, 0) if along_rows else (1, 0, 0, by, 1, 0)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


def _shift(picture: Picture, by: float, *, along_rows: bool) -> Picture:
    pixels = by * picture.size[0 if along_rows else 1]
    matrix = (1, 0, pixels, 0, 1, 0) if along_rows else (1, 0, 0, 0, 1, pixels)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


def _posterize(picture: Picture, strength: float) -> Picture:
    return ImageOps.posterize(picture, 8 - round(4 * strength))


def _solarize(picture: Picture, strength: float) -> Picture:
    return ImageOps.solarize(picture, 256 - round(256 * strength))


SIGNED: dict[str, Operation] = {
    "shear_x": lambda picture, s: _shear(picture, 0.3 * s, along_rows=True),
    "shear_y": lambda picture, s: _shear(picture, 0.3 * s, along_rows=False),
    "translate_x": lambda picture, s: _shift(picture, 0.45 * s, along_rows=True),
    "translate_y": lambda picture, s: _shift(picture, 0.45 * s, along_rows=False),
    "rotate": lambda picture, s: picture.rotate(30 * s),
    "brightness": lambda picture, s: ImageEnhance.Brightness(picture).enhance(1 + 0.9 * s),
    "color": lambda picture, s: ImageEnhance.Color(picture).enhance(1 + 0.9 * s),
    "contrast": lambda picture, s: ImageEnhance.Contrast(picture).enhance(1 + 0.9 * s),
    "sharpness": lambda picture, s: ImageEnhance.Sharpness(picture).enhance(1 + 0.9 * s),
}
"""Of a strength between -1 and 1; the sign is drawn."""
UNSIGNED: dict[str, Operation] = {
    "identity": lambda picture, _: picture,
    "auto_contrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
    "posterize": _posterize,
    "solarize": _solarize,
}
"""Of a strength between 0 and 1."""
OPERATIONS = SIGNED | UNSIGNED


@dataclass(frozen=True)
class RandAugment:
    """Changes one picture, uint8 `(H, W, C)` with one or three channels, into another.

    What is drawn comes from torch's generator: of a training it is the seed's, and a resumed
    training draws on where it was.
    """

    config: RandAugmentConfig

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        grey = pixels.shape[2] == 1
        picture = Image.fromarray(pixels[:, :, 0] if grey else pixels)
        names = list(OPERATIONS)
        strength = self.config.magnitude / STRONGEST
        for number in torch.randint(len(names), (self.config.num_ops,)).tolist():
            picture = OPERATIONS[names[number]](picture, _signed(strength, names[number]))
        changed = np.asarray(picture, dtype=np.uint8)
        return changed[:, :, None] if grey else changed


def _signed(strength: float, name: str) -> float:
    return -strength if name in SIGNED and torch.rand(()) < 0.5 else strength
