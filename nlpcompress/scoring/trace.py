"""Puts back what a look at a model disturbs: modes, `requires_grad`, random state."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from nlpcompress.core.modes import eval_mode


@contextmanager
def no_trace(model: nn.Module) -> Iterator[None]:
    """The model in eval mode with frozen parameters; everything is put back afterwards.

    Put back: train or eval of every submodule, `requires_grad` of every parameter, and the random
    states of Python, NumPy and torch. Gradients are never touched: use `torch.autograd.grad`.
    """
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with same_randomness(), eval_mode(model):
        try:
            model.requires_grad_(False)
            yield
        finally:
            for parameter, requires_grad in trainable:
                parameter.requires_grad_(requires_grad)


@contextmanager
def same_randomness(seed: int | None = None) -> Iterator[None]:
    """Random states (Python, NumPy, torch) are put back; inside they start at `seed`, if given."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=_used_devices()):
        try:
            if seed is not None:
                _seed_everything(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _used_devices() -> list[int]:
    return [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
