"""Models in another mode for a while: not training, or not all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """The whole model in eval mode; every module has its own mode back afterwards.

    Unlike `model.train(before)`, this leaves a part that was in eval mode, as frozen ones are, so.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def untrained(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Those that learn look frozen: no gradient, and no one puts them into an optimizer."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_()
