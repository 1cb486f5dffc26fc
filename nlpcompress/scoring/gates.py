"""Gates of value one on an axis: their gradient says what a small change of each position costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nlpcompress.errors import AxisError

if TYPE_CHECKING:
    from nlpcompress.axes import Axis, Tap


class AxisGates:
    """Multiplies every module input that carries `axis` by gates, made anew for each batch.

    One gate an example and position, `(B, size)`: the same at all taps, calls and tokens, so that
    it means "this position, everywhere". With `per_token` one gate a token, or place of a feature
    map, too: `(B, size, …)`; taps that see the same tokens share them. Gates of `dropped`
    positions are zero, as if the position had been cut.
    """

    def __init__(self, axis: Axis, *, per_token: bool, dropped: Sequence[int] = ()) -> None:
        if not axis.taps:
            raise AxisError(
                f"axis '{axis.name}' feeds no layer that could carry a gate, so it has no Taylor "
                "score; choose an axis of heads, neurons or channels"
            )
        self.axis, self.per_token, self.dropped = axis, per_token, list(dropped)
        self._batch_size = 0
        self._gates: dict[tuple[int, ...], Tensor] = {}

    def start(self, batch_size: int) -> None:
        """Forget the gates of the batch before."""
        self._batch_size, self._gates = batch_size, {}

    @property
    def gates(self) -> list[Tensor]:
        """The gates that this batch has met."""
        return list(self._gates.values())

    def per_example(self, gradients: Sequence[Tensor]) -> Tensor:
        """Gradients of `gates` as `(B, size)`: signed, or Σ |·| over the tokens."""
        if not self.per_token:
            return gradients[0]
        return torch.stack(
            [g.abs().flatten(2).sum(-1) if g.dim() > 2 else g.abs() for g in gradients]
        ).sum(0)

    def hook(self, tap: Tap, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Forward-pre-hook of `tap`'s module: its first input times the gates."""
        values = args[0]
        dim = tap.dim % values.dim()
        self._check(tap, values, dim)
        blocks = values.unflatten(dim, (tap.before, self.axis.size, tap.after))
        gated = blocks * self._gate(blocks, dim)
        return (gated.flatten(dim, dim + 2), *args[1:])

    def _gate(self, blocks: Tensor, dim: int) -> Tensor:
        """The gates, shaped to multiply `blocks`: `(B, …, before, size, after, …)`."""
        tokens = (*blocks.shape[1:dim], *blocks.shape[dim + 3 :])
        key = (self._batch_size, self.axis.size, *(tokens if self.per_token else ()))
        if key not in self._gates:
            self._gates[key] = self._new(key, blocks)
        gate = self._gates[key].view(key if self.per_token else (*key, *(1 for _ in tokens)))
        return gate.movedim(1, dim).unsqueeze(dim).unsqueeze(dim + 2)

    def _new(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        gate = torch.ones(shape, dtype=like.dtype, device=like.device)
        gate[:, self.dropped] = 0
        return gate.requires_grad_()

    def _check(self, tap: Tap, values: Tensor, dim: int) -> None:
        if dim == 0 or values.shape[0] != self._batch_size:
            raise AxisError(
                f"the input of '{tap.module}' has the shape {tuple(values.shape)} for "
                f"{self._batch_size} examples, with axis '{self.axis.name}' along dimension {dim}; "
                "examples must lie along dimension 0; leave this axis out"
            )


@contextmanager
def gated(model: nn.Module, gates: Sequence[AxisGates]) -> Iterator[None]:
    """Hang the gates on the taps of their axes; all hooks are gone afterwards."""
    with ExitStack() as hooks:
        for gate in gates:
            for tap in gate.axis.taps:
                module = model.get_submodule(tap.module)
                handle = module.register_forward_pre_hook(partial(gate.hook, tap))
                hooks.callback(handle.remove)
        yield
