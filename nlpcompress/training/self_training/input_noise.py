"""Noise of the inputs in training batches, the same for the same batch: a resumed run has it too.

A data loader makes batches ahead of the steps, so the global random state is no help: the noise of
a batch is drawn from a seed and the bytes of the batch. As the order of the examples is another one
in each epoch, so is their noise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nlpcompress.core.hashing import hash_tensors
from nlpcompress.errors import ConfigError
from nlpcompress.training.self_training.config import SelfTrainingConfig

Noise = Callable[[dict[str, Tensor], torch.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class NoisyCollate:
    """Batches as `collate` makes them, then `noise`."""

    collate: Callable[[list[Any]], dict[str, Tensor]]
    noise: Noise
    seed: int

    def __call__(self, examples: list[Any]) -> dict[str, Tensor]:
        batch = dict(self.collate(examples))
        start = int.from_bytes(hash_tensors(batch, f"noise {self.seed}")[:7], "big")
        return self.noise(batch, torch.Generator().manual_seed(start))


@dataclass(frozen=True)
class InputNoise:
    """Noise of texts (`input_ids`) or pictures (`pixel_values`), whichever a batch has.

    `mask` takes a token's place, or without it a token out of `vocabulary`; `special` ones stay.
    """

    config: SelfTrainingConfig
    mask: int | None = None
    vocabulary: int = 0
    special: tuple[int, ...] = ()

    def __call__(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        if "input_ids" in batch and self.config.token_noise:
            return {**batch, "input_ids": self._tokens(batch, generator)}
        if "pixel_values" in batch:
            return {**batch, "pixel_values": self._pixels(batch["pixel_values"], generator)}
        return batch

    def _tokens(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        ids = batch["input_ids"]
        hit = torch.rand(ids.shape, generator=generator) < self.config.token_noise
        hit &= ~torch.isin(ids, torch.tensor(self.special, dtype=ids.dtype))
        if "attention_mask" in batch:
            hit &= batch["attention_mask"].bool()
        if self.mask is not None:
            return ids.masked_fill(hit, self.mask)
        drawn = torch.randint(len(self._words), ids.shape, generator=generator)
        return torch.where(hit, self._words[drawn].to(ids.dtype), ids)

    @cached_property
    def _words(self) -> Tensor:
        """The tokens that may be drawn. Raises `ConfigError` when nobody said which there are."""
        if not self.vocabulary:
            raise ConfigError(
                f"token_noise: {self.config.token_noise} hides tokens of texts, and needs to know "
                "the mask token and the special ones; pass tokenizer=, or set token_noise: 0.0"
            )
        return torch.tensor(sorted(set(range(self.vocabulary)) - set(self.special)))

    def _pixels(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        if self.config.shift:
            pixels = shifted(pixels, self.config.shift, generator)
        return flipped(pixels, generator) if self.config.flip else pixels


def input_noise(config: SelfTrainingConfig, tokenizer: Any = None) -> InputNoise:
    """The noise that a config asks for, with what it needs of the tokenizer.

    Raises `ConfigError` for a tokenizer that has no mask token to hide words with.
    """
    if tokenizer is None:
        return InputNoise(config)
    mask = tokenizer.mask_token_id if config.token_replacement == "mask" else None
    if config.token_noise and config.token_replacement == "mask" and mask is None:
        raise ConfigError(
            f"{type(tokenizer).__name__} has no mask token to hide words with; "
            "use token_replacement: random, or token_noise: 0.0"
        )
    return InputNoise(config, mask, len(tokenizer), tuple(tokenizer.all_special_ids))


def shifted(pixels: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Pictures `(B, C, H, W)`, each moved by up to `most` pixels; zeros come in at the edges."""
    height, width = pixels.shape[-2:]
    wide = torch.nn.functional.pad(pixels, [most] * 4)
    moves = torch.randint(2 * most + 1, (len(pixels), 2), generator=generator).tolist()
    cut = [row[:, y : y + height, x : x + width] for row, (y, x) in zip(wide, moves, strict=True)]
    return torch.stack(cut)


def flipped(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures `(B, C, H, W)`, each mirrored left to right with a chance of one half."""
    chosen = torch.rand(len(pixels), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], pixels.flip(-1), pixels)
