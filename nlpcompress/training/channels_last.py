"""Networks on pictures whose weights lie otherwise in memory while they train."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def channels_last(models: Sequence[nn.Module]) -> Iterator[None]:
    """Weights of four axes (out, in, height, width) lie in memory as (out, height, width, in).

    Their shapes and numbers are the same. What convolutions make of a picture lies so, too.
    """
    for model in models:
        model.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for model in models:
            model.to(memory_format=torch.contiguous_format)
