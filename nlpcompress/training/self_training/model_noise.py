"""Noise of a student while it is trained: dropout, and layers that are left out at random."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.models.layers import layers_of
from nlpcompress.training.dropout import other_dropout


@contextmanager
def model_noise(model: nn.Module, *, dropout: float | None, survival: float) -> Iterator[None]:
    """While it lasts, all dropout is `dropout` (None: as it is), and layers survive as told.

    Nothing happens in eval mode. The random numbers are those of the model's device, which
    checkpoints restore. Raises `ConfigError` for a model without one stack of layers.
    """
    with ExitStack() as stack:
        if dropout is not None:
            stack.enter_context(other_dropout(model, dropout))
        if survival < 1:
            stack.enter_context(stochastic_depth(model, survival))
        yield


@contextmanager
def stochastic_depth(model: nn.Module, survival: float) -> Iterator[None]:
    """Layer l of L counts with the chance 1 - l/L · (1 - survival), for each example by itself.

    What a layer adds to its input is 0, or divided by that chance: its mean is what it adds in eval
    mode. Raises `ConfigError` for a model without one stack of layers.

    Source: Huang et al. 2016, section 3 (the linear decay); Xie et al. 2020, section 3.1 (0.8 for
    the last layer).
    Differs: an example a draw and divided in training, as EfficientNet's code has it; Huang et al.
    draw for a batch, and multiply in eval mode. A layer is a whole block of a transformer.
    """
    try:
        _, layers = layers_of(model)
    except PlanError as error:
        message = f"no layers can be left out at random ({error}); set survival: 1.0"
        raise ConfigError(message) from None
    hooks = []
    try:
        for number, layer in enumerate(layers, start=1):
            chance = 1 - number / len(layers) * (1 - survival)
            hooks.append(layer.register_forward_hook(_surviving(chance), with_kwargs=True))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _surviving(chance: float) -> Callable[..., Any]:
    def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if not layer.training:
            return None
        before = args[0] if args else kwargs["hidden_states"]
        after, *others = output if isinstance(output, tuple) else (output,)
        mixed = before + (after - before) * _shares(before, chance)
        return (mixed, *others) if isinstance(output, tuple) else mixed

    return hook


def _shares(states: Tensor, chance: float) -> Tensor:
    alive = torch.rand(len(states), device=states.device) < chance
    return alive.to(states.dtype).view(-1, *[1] * (states.dim() - 1)) / chance
