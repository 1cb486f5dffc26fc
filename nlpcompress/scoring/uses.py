"""How often each number of a weight is multiplied in a forward pass."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from nlpcompress.scoring.examples import batch_size, on_device_of
from nlpcompress.scoring.trace import no_trace


def weight_uses(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """Name of the weight of each linear and convolutional layer → its uses for one example.

    A weight's numbers times its uses are its multiply-accumulates. Attention's own products have no
    weight and are not counted. One forward pass of `inputs`, without labels.
    """
    found: dict[str, int] = {}
    with no_trace(model), torch.no_grad(), ExitStack() as hooks:
        for path, module in model.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, Conv1D)):
                hook = partial(_add, found, f"{path}.weight")
                hooks.callback(module.register_forward_hook(hook).remove)
        model(**on_device_of(model, inputs))
    return {name: uses // batch_size(inputs) for name, uses in found.items()}


def _add(found: dict[str, int], name: str, module: nn.Module, _: Any, output: Tensor) -> None:
    rows = output.shape[1] if isinstance(module, nn.Conv2d) else output.shape[-1]
    found[name] = found.get(name, 0) + output.numel() // rows
