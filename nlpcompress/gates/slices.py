"""Gates that leave the first positions of axes open: smaller networks inside of a larger one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _NormBase

from nlpcompress.core.method import Objective, Progress, Step
from nlpcompress.gates.cover import GatePlaces
from nlpcompress.gates.gate import Gate
from nlpcompress.gates.gate_set import GateSet
from nlpcompress.models.inputs import accepts
from nlpcompress.models.layers import only_layers


class Network(NamedTuple):
    """How many positions are open under each gate, and which layers run; None: all of them.

    Pictures have a share `resolution` of their sides.
    """

    counts: tuple[int, ...]
    layers: tuple[int, ...] | None = None
    resolution: float = 1.0


PIXELS = "pixel_values"
Draw = Callable[[int], Sequence[Network]]
"""A step's number → the networks that learn in it."""


class SliceGates(GateSet):
    """Smaller networks that learn beside the whole one, from its answers.

    The whole network learns as it would. Then each of the step's networks runs on the same batch,
    and learns `objective`, of a step whose teacher is the whole network. All gates are open outside
    of that, and running statistics are the whole network's.
    """

    def __init__(
        self,
        model: nn.Module,
        places: Sequence[GatePlaces],
        *,
        draw: Draw,
        objective: Objective,
    ) -> None:
        super().__init__(model, [Gate(place) for place in places])
        self._draw, self._objective, self._step = draw, objective, 0

    def objectives(self) -> tuple[Objective, ...]:
        """The mean loss of the step's networks."""
        return (replace(self._objective, loss=self._slices, runs_again=True),)

    def advance(self, progress: Progress) -> None:
        """The networks of a step are drawn by its number."""
        self._step = progress.step

    @contextmanager
    def only(self, network: Network) -> Iterator[None]:
        """The model is this network. Masks are put in place, never written into: a graph that was
        made under one still needs it when the next one is there.
        """
        model, whole = self._model[0], [gate.mask for gate in self.gates]
        layers = network.layers
        skipping = nullcontext() if layers is None else only_layers(model, layers)
        try:
            for gate, count in zip(self.gates, network.counts, strict=True):
                places = torch.arange(gate.mask.numel(), device=gate.mask.device)
                gate.mask = (places < count).reshape(gate.mask.shape)
            with skipping:
                yield
        finally:
            for gate, mask in zip(self.gates, whole, strict=True):
                gate.mask = mask

    def _slices(self, step: Step) -> Tensor:
        model, whole = self._model[0], _detached(step)
        losses = []
        for network in self._draw(self._step):
            inputs = resized(step.inputs, network.resolution)
            own = {name: value for name, value in inputs.items() if accepts(model, name)}
            with self.only(network), _still_statistics(model):
                outputs = model(**own)
            smaller = Step(inputs, outputs, step.task_loss, lambda _: whole)
            losses.append(self._objective.loss(smaller))
        return torch.stack(losses).mean()


def resized(inputs: Mapping[str, Tensor], share: float) -> Mapping[str, Tensor]:
    """With pictures, float `(B, C, H, W)`, of a share of their sides; bilinear."""
    if share == 1.0:
        return inputs
    pixels = interpolate(inputs[PIXELS], scale_factor=share, mode="bilinear", antialias=True)
    return {**inputs, PIXELS: pixels}


@contextmanager
def _still_statistics(model: nn.Module) -> Iterator[None]:
    """Norms that are in training take a batch's own statistics, and keep none of them."""
    tracking = [
        module
        for module in model.modules()
        if isinstance(module, _NormBase) and module.training and module.track_running_stats
    ]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


def _detached(step: Step) -> dict[str, Tensor]:
    """The whole network's answers, which nothing learns by."""
    return {
        name: value.detach() for name, value in step.outputs.items() if isinstance(value, Tensor)
    }
