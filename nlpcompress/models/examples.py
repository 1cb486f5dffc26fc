"""Example inputs made from a model's config alone: for tracing, verifying and measuring."""

from typing import Any

import torch
from torch import Tensor, nn

IMAGE_SIZE = 224  # pixels a side, where the config does not say
SPECIAL = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "cls_token_id",
    "sep_token_id",
    "decoder_start_token_id",
)


def example_inputs(model: nn.Module, *, batch_size: int = 2, length: int = 16) -> dict[str, Tensor]:
    """One batch on the model's device, the same at every call; no labels.

    Text models: `input_ids` and `attention_mask`, `(B, T)`, every second example padded by a
    quarter, T at most what the positions allow; encoder-decoders also `decoder_input_ids`. Image
    models: `pixel_values`, `(B, C, S, S)`.
    """
    generator = torch.Generator().manual_seed(0)
    if model.main_input_name == "pixel_values":
        inputs = _images(model.config, batch_size, generator)
    else:
        inputs = _text(model.config, (batch_size, length), generator)
    device, dtype = model.device, model.dtype
    return {n: t.to(device, dtype if t.is_floating_point() else t.dtype) for n, t in inputs.items()}


def _images(config: Any, batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    size = getattr(config, "image_size", None) or IMAGE_SIZE
    sides = (size, size) if isinstance(size, int) else tuple(size)
    channels = getattr(config, "num_channels", 3)
    return {"pixel_values": torch.randn(batch_size, channels, *sides, generator=generator)}


def _text(config: Any, shape: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
    batch_size, length = shape
    length = min(length, _most_tokens(config))
    ordinary = _ordinary_tokens(config)
    ids = ordinary[torch.randint(len(ordinary), (batch_size, length), generator=generator)]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids.flip(1).contiguous()
        ids[:, -1] = config.eos_token_id
        return inputs
    padded = length - max(1, length // 4)
    ids[1::2, padded:] = config.pad_token_id or 0
    inputs["attention_mask"][1::2, padded:] = 0
    return inputs


def _most_tokens(config: Any) -> int:
    """Positions a sequence may have; RoBERTa's start after the padding id."""
    positions = getattr(config, "max_position_embeddings", None) or 512
    return max(1, positions - (config.pad_token_id or 0) - 1)


def _ordinary_tokens(config: Any) -> Tensor:
    """Ids of the vocabulary without the special ones the config names."""
    special = {getattr(config, name, None) for name in SPECIAL}
    return torch.tensor([token for token in range(config.vocab_size) if token not in special])
