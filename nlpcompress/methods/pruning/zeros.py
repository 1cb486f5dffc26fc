"""What the zeros of a pruned model end in: smaller matrices where they can be cut, else a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from nlpcompress.axes import Axis, find_axes
from nlpcompress.core.edits import Edit, Keep, Mask
from nlpcompress.core.method import Context
from nlpcompress.core.plan import Plan
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring import empty_positions, on_device_of

Left = dict[str, tuple[int, ...]]


def plan_for_zeros(model: nn.Module, ctx: Context, *, fill: bool = False) -> Plan:
    """Heads and neurons that do nothing leave; zeros elsewhere stay, or with `fill` may fill up.

    An axis that is all empty keeps its first position: a layer cannot lose its last head.
    """
    inputs = on_device_of(model, ctx.example_inputs)
    axes = [
        axis
        for axis in find_axes(model, inputs).free()
        if axis.kind in ("heads", "kv_heads", "neurons") and axis.taps
    ]
    left = positions_left(empty_positions(model, axes, inputs))
    keeps: list[Edit] = [Keep(axis=name, indices=indices) for name, indices in left.items()]
    stay = not fill and zeros_elsewhere(model, axes, left)
    return Plan((*keeps, *([Mask()] if stay else [])))


def positions_left(empty: Mapping[str, Tensor]) -> Left:
    """Positions that stay, of each axis that loses some.

    >>> import torch
    >>> positions_left({"a": torch.tensor([True, False]), "b": torch.tensor([False, False])})
    {'a': (1,)}
    """
    left = {
        name: tuple((~positions).nonzero().flatten().tolist()) or (0,)
        for name, positions in empty.items()
    }
    return {name: kept for name, kept in left.items() if len(kept) < len(empty[name])}


def zeros_elsewhere(model: nn.Module, axes: Sequence[Axis], left: Left) -> bool:
    """Whether the body's weights have zeros outside the positions that leave."""
    zeros = {name: weight == 0 for name, weight in body_weights(model).items()}
    for axis in axes:
        gone = sorted(set(range(axis.size)) - set(left.get(axis.name, range(axis.size))))
        for part in axis.slices:
            if gone and part.tensor in zeros:
                dim = part.dim % zeros[part.tensor].dim()
                blocks = zeros[part.tensor].unflatten(dim, (part.before, axis.size, part.after))
                blocks.movedim(dim + 1, 0)[gone] = False
    return any(bool(found.any()) for found in zeros.values())
