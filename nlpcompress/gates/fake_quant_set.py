"""All weights that one method rounds while they train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers.pytorch_utils import Conv1D

from nlpcompress.core.method import Objective, Progress
from nlpcompress.errors import ConfigError
from nlpcompress.gates.fake_inputs import MovingInputs
from nlpcompress.gates.fake_quant import FakeQuant
from nlpcompress.gates.gate_set import NAME
from nlpcompress.models.activations import RoundedInputs, round_inputs
from nlpcompress.models.grid import Grid, rounded
from nlpcompress.models.noted import note_grid, note_inputs

WEIGHT = "weight"
Inputs = RoundedInputs | MovingInputs
NOTHING: Mapping[str, Inputs] = MappingProxyType({})


class Rounded(NamedTuple):
    """A grid, and the paths of the modules whose one weight it rounds."""

    grid: FakeQuant
    paths: Sequence[str]


class RoundedWeight(nn.Module):
    """A weight as its grid has it; the grid belongs to the set, not to this."""

    def __init__(self, grid: FakeQuant, *, turned: bool) -> None:
        super().__init__()
        self._grid, self.turned = (grid,), turned

    def forward(self, weight: Tensor) -> Tensor:
        """In the weight's own shape and type."""
        return _in_shape(self._grid[0](_matrix(weight, self.turned)), weight, self.turned)


class FakeQuantSet(nn.Module):
    """Grids on weights of `model`, which holds this module as `compression_gates`.

    `inputs` has the path of each layer whose inputs are rounded too, and what rounds them. Learned
    steps train with `learning_rate`, without weight decay. When it closes, weights are what the
    forward passes saw, and their grids are noted for the edit `quantize`. Raises `ConfigError` when
    the model has gates already.
    """

    step: Tensor

    def __init__(
        self,
        model: nn.Module,
        parts: Sequence[Rounded],
        *,
        inputs: Mapping[str, Inputs] = NOTHING,
        learning_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if hasattr(model, NAME):
            raise ConfigError("the model has gates already; train with one method that puts gates")
        self.grids = nn.ModuleList(part.grid for part in parts)
        self.learning_rate = learning_rate
        self._followed = -1
        self.register_buffer("step", torch.tensor(self._followed))
        self.register_load_state_dict_post_hook(_read_step)
        self._model = (model,)
        self._modules_of = [[model.get_submodule(path) for path in part.paths] for part in parts]
        self._order = {module: list(module._parameters) for _, module in self._pairs()}
        for grid, module in self._pairs():
            rounding = RoundedWeight(grid, turned=isinstance(module, Conv1D))
            parametrize.register_parametrization(module, WEIGHT, rounding)
        self.inputs = nn.ModuleList(inputs.values())
        self._with_inputs = [model.get_submodule(path) for path in inputs]
        self._hooks = [
            round_inputs(module, rounding)
            for module, rounding in zip(self._with_inputs, self.inputs, strict=True)
        ]
        self.to(next(model.parameters()).device)
        model.add_module(NAME, self)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group, or none when no step is learned."""
        parameters = list(self.parameters())
        group = {"params": parameters, "lr": self.learning_rate, "weight_decay": 0.0}
        return [group] if parameters else []

    def objectives(self) -> tuple[Objective, ...]:
        """Rounding costs nothing by itself."""
        return ()

    @torch.no_grad()
    def advance(self, progress: Progress) -> None:
        """Ranges follow the weights, once a step: an evaluation in between moves none."""
        if progress.step == self._followed:
            return
        self._followed = progress.step
        self.step.fill_(progress.step)
        for grid, modules in zip(self.grids, self._modules_of, strict=True):
            weight = modules[0].parametrizations[WEIGHT].original
            grid.follow(_matrix(weight, isinstance(modules[0], Conv1D)))

    @torch.no_grad()
    def close(self) -> None:
        """Round the weights for good, note their grids and those of inputs, and leave the model."""
        for module, names in self._order.items():
            parametrize.remove_parametrizations(module, WEIGHT, leave_parametrized=False)
            for name in names:
                module._parameters[name] = module._parameters.pop(name)
        for grid, modules in zip(self.grids, self._modules_of, strict=True):
            turned = isinstance(modules[0], Conv1D)
            weight = modules[0].weight
            values = rounded(_matrix(weight, turned), grid.scheme, grid.grid)
            weight.copy_(_in_shape(values, weight, turned))
            for module in modules:
                note_grid(module, grid.scheme, Grid(*(t.clone() for t in grid.grid)))
        for hook, module, rounding in zip(self._hooks, self._with_inputs, self.inputs, strict=True):
            hook.remove()
            note_inputs(module, rounding.bits, rounding.ends)
        delattr(self._model[0], NAME)

    def _pairs(self) -> Iterator[tuple[FakeQuant, nn.Module]]:
        for grid, modules in zip(self.grids, self._modules_of, strict=True):
            for module in modules:
                yield grid, module


def _read_step(gates: FakeQuantSet, _: object) -> None:
    gates._followed = int(gates.step)


def _matrix(weight: Tensor, turned: bool) -> Tensor:
    return weight.T if turned else weight.flatten(1)


def _in_shape(matrix: Tensor, weight: Tensor, turned: bool) -> Tensor:
    return matrix.T if turned else matrix.view_as(weight)
