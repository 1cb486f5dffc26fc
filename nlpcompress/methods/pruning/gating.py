"""Where the gates of a pruning method lie: on single weights, blocks, whole heads or neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from nlpcompress.axes import Axes, Axis, find_axes
from nlpcompress.core.method import Context
from nlpcompress.gates.cover import (
    Cover,
    GatePlaces,
    over_block_rows,
    over_blocks,
    over_positions,
    over_weights,
)
from nlpcompress.methods.pruning.layer_axes import heads_to_cut, neurons_to_cut
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring import on_device_of

ATTENTION, DENSE, WEIGHTS = "attention", "dense", "weights"


def weight_places(model: nn.Module) -> list[GatePlaces]:
    """One gate value for each weight of the body."""
    return [
        GatePlaces(WEIGHTS, (over_weights(name, weight.shape),))
        for name, weight in body_weights(model).items()
    ]


def axis_places(
    model: nn.Module, axes: Sequence[Axis], kind: str, *, readers_only: bool = False
) -> list[GatePlaces]:
    """One gate value for each position, shared by all tensors of its axis, their biases too.

    `readers_only`: on the weights alone of the layers that read the position, which shuts it too.
    """
    tensors = dict(model.named_parameters())
    return [GatePlaces(kind, tuple(_covers(axis, tensors, readers_only))) for axis in axes]


def structured_places(
    model: nn.Module,
    ctx: Context,
    *,
    block: Sequence[int] | None,
    heads: bool,
    neurons: bool,
    readers_only: bool = False,
) -> list[GatePlaces]:
    """Gates over heads and neurons where asked for, and over blocks of all other matrices.

    Without `block` the other matrices have no gates. Raises `PlanError` when the model has no such
    heads or neurons, `ConfigError` when blocks do not tile a matrix.
    """
    axes = find_axes(model, on_device_of(model, ctx.example_inputs))
    heads_cut = heads_to_cut(axes) if heads else ()
    neurons_cut = neurons_to_cut(axes) if neurons else ()
    return [
        *axis_places(model, heads_cut, ATTENTION, readers_only=readers_only),
        *axis_places(model, neurons_cut, DENSE, readers_only=readers_only),
        *(_blocks(model, axes, block, without=(*heads_cut, *neurons_cut)) if block else ()),
    ]


def _covers(axis: Axis, tensors: Mapping[str, Tensor], readers_only: bool) -> Iterator[Cover]:
    readers = {f"{tap.module}.weight" for tap in axis.taps}
    for part in axis.slices:
        if part.tensor in tensors and (part.tensor in readers or not readers_only):
            yield over_positions(part, tensors[part.tensor].shape, axis.size)


def _blocks(
    model: nn.Module, axes: Axes, block: Sequence[int], *, without: Sequence[Axis]
) -> Iterator[GatePlaces]:
    """Blocks of the body's matrices; a bias goes with its rows, when all their blocks are shut."""
    tensors = dict(model.named_parameters())
    covered = {part.tensor for axis in without for part in axis.slices}
    attentions = {part.tensor for axis in axes if "heads" in axis.kind for part in axis.slices}
    for name, weight in body_weights(model).items():
        if name in covered:
            continue
        bias = tensors.get(f"{name.removesuffix('weight')}bias")
        has_rows = bias is not None and bias.shape == weight.shape[:1]
        yield GatePlaces(
            ATTENTION if name in attentions else DENSE,
            (over_blocks(name, weight.shape, block),),
            (over_block_rows(f"{name.removesuffix('weight')}bias", len(weight), block[0]),)
            if has_rows
            else (),
        )
