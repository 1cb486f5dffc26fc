"""The operations that policies are made of, each of a strength from none to full.

Source: Cubuk et al. 2019 (AutoAugment), table 6, whose ranges these are at full strength.
Differs: angles and shifts are at most 30° and 45 % of a side (the paper's code shifts 150 of 331
pixels), so that they suit pictures of any size; what a picture leaves free is black; the paper's
cutout and pairs of samples are left out, as all published policies leave them.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

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
    "auto_contrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
    "invert": lambda picture, _: ImageOps.invert(picture),
    "posterize": _posterize,
    "solarize": _solarize,
}
"""Of a strength between 0 and 1; the first three have none."""
OPERATIONS = SIGNED | UNSIGNED


def operate(picture: Picture, name: str, strength: float) -> Picture:
    """With a sign drawn, where the operation has one."""
    return OPERATIONS[name](picture, _signed(strength, name))


def on_picture(pixels: np.ndarray, change: Callable[[Picture], Picture]) -> np.ndarray:
    """What `change` makes of pixels, both uint8 `(H, W, C)` with one or three channels."""
    grey = pixels.shape[2] == 1
    changed = change(Image.fromarray(pixels[:, :, 0] if grey else pixels))
    array = np.asarray(changed, dtype=np.uint8)
    return array[:, :, None] if grey else array


def resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """As many pixels a side, bilinear: uint8 `(side, side, C)`."""
    return on_picture(
        pixels, lambda picture: picture.resize((side, side), Image.Resampling.BILINEAR)
    )


def _signed(strength: float, name: str) -> float:
    return -strength if name in SIGNED and torch.rand(()) < 0.5 else strength
