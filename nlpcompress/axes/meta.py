"""Reading models on the meta device: some code asks for a device that can compute."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode


def on_fake_cpu(
    model: nn.Module, inputs: Mapping[str, Tensor]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy of a meta model, and its inputs, as tensors without data that say they are on the CPU.

    transformers 4.57 enters autocast for the device of its rotary embeddings, which torch refuses
    for the meta device. Tied tensors stay tied.
    """
    model = copy.deepcopy(model)
    with FakeTensorMode():
        made: dict[int, Tensor] = {}
        tables: list[dict[str, Any]] = []
        for module in model.modules():
            tables += [module._parameters, module._buffers]
        for tensor in (tensor for table in tables for tensor in table.values()):
            if tensor is not None and id(tensor) not in made:
                made[id(tensor)] = _fake(tensor)
        for table in tables:
            table.update({name: made.get(id(tensor)) for name, tensor in table.items()})
        return model, {name: _fake(tensor) for name, tensor in inputs.items()}


def _fake(tensor: Tensor) -> Tensor:
    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(fake, requires_grad=False) if isinstance(tensor, nn.Parameter) else fake
