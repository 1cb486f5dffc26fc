"""Rows into batches, by plain objects that pickle: DataLoader workers can use them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import BaseImageProcessor, DataCollatorWithPadding, PreTrainedTokenizerBase

from nlpcompress.data.pictures.operations import resized
from nlpcompress.errors import DataError

Row = dict[str, Any]


@dataclass(frozen=True)
class TextCollate:
    """Pads to the longest text of the batch.

    Makes `input_ids`, `attention_mask` and what else the tokenizer gives, int64 `(B, T)`, and
    `labels` of `label_dtype` `(B,)`.
    """

    tokenizer: PreTrainedTokenizerBase
    label_dtype: torch.dtype

    def __call__(self, rows: list[Row]) -> dict[str, torch.Tensor]:
        names = self.tokenizer.model_input_names
        texts = [{name: row[name] for name in names if name in row} for row in rows]
        batch = dict(DataCollatorWithPadding(self.tokenizer)(texts))
        return batch | _labels(rows, self.label_dtype)


@dataclass(frozen=True)
class ImageCollate:
    """Prepares pictures: `pixel_values` float32 `(B, C, H, W)`, `labels` int64 `(B,)`.

    With a processor, as it resizes and normalises; a grey picture is repeated over the channels the
    processor has means for. Without one, pixels are scaled from 0…255 to 0…1 and keep their own
    channels and size, or are resized to `size` pixels a side. `change` gives another picture, uint8
    `(H, W, C)`, for each, before that.
    """

    processor: BaseImageProcessor | None
    change: Callable[[np.ndarray], np.ndarray] | None = None
    size: int | None = None

    @property
    def unchanged(self) -> "ImageCollate":
        """What makes batches of the pictures as they are."""
        return replace(self, change=None)

    def __call__(self, rows: list[Row]) -> dict[str, torch.Tensor]:
        pictures = [_height_width_channels(row["pixel_values"]) for row in rows]
        if self.change is not None:
            pictures = [self.change(picture) for picture in pictures]
        if self.size is not None:
            pictures = [resized(picture, self.size) for picture in pictures]
        pixels = (
            _scaled(pictures) if self.processor is None else _processed(self.processor, pictures)
        )
        return {"pixel_values": pixels} | _labels(rows, torch.long)


def _labels(rows: list[Row], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    if "labels" not in rows[0]:
        return {}
    return {"labels": torch.tensor([row["labels"] for row in rows], dtype=dtype)}


def _height_width_channels(picture: Any) -> np.ndarray:
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _scaled(pictures: list[np.ndarray]) -> torch.Tensor:
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise DataError(
            f"pictures of several sizes {sorted(shapes)} need an image processor that resizes them"
        )
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def _processed(processor: BaseImageProcessor, pictures: list[np.ndarray]) -> torch.Tensor:
    means = getattr(processor, "image_mean", None)
    channels = len(means) if isinstance(means, list | tuple) else 3
    fitting = [_with_channels(picture, channels) for picture in pictures]
    return processor(images=fitting, return_tensors="pt")["pixel_values"]


def _with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    if picture.shape[2] == channels:
        return picture
    if picture.shape[2] != 1:
        raise DataError(
            f"a picture has {picture.shape[2]} channels, the image processor takes {channels}"
        )
    return picture.repeat(channels, axis=2)
