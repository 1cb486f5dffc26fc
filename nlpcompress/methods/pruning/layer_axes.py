"""Which axes of a model are the heads, the neurons and the channels that pruning papers mean."""

from collections.abc import Sequence

from nlpcompress.axes import Axes, Axis
from nlpcompress.errors import PlanError


def heads_to_cut(axes: Axes) -> tuple[Axis, ...]:
    """Free heads of every attention; for grouped queries its key-value heads, not the queries'.

    Raises `PlanError` when there are none.
    """
    grouped = {_scope(axis) for axis in axes if axis.kind == "kv_heads"}
    queries = [axis for axis in axes.free("heads") if _scope(axis) not in grouped]
    return _require(axes, [*queries, *axes.free("kv_heads")], "heads")


def neurons_to_cut(axes: Axes, *, everywhere: bool = False) -> tuple[Axis, ...]:
    """Free neurons of the layers' feed-forward networks, or also of poolers and task heads.

    Raises `PlanError` when there are none.
    """
    neurons = [axis for axis in axes.free("neurons") if everywhere or _in_layers(axis.name)]
    return _require(axes, neurons, "neurons")


def channels_to_cut(axes: Axes) -> tuple[Axis, ...]:
    """Free channels, groups of channels, and neurons of the layers.

    Raises `PlanError` when there are none.
    """
    neurons = [axis for axis in axes.free("neurons") if _in_layers(axis.name)]
    found = {axis.name for axis in (*axes.free("channels"), *axes.free("groups"), *neurons)}
    return _require(axes, [axis for axis in axes if axis.name in found], "channels")


def _require(axes: Axes, chosen: Sequence[Axis], kind: str) -> tuple[Axis, ...]:
    if chosen:
        return tuple(chosen)
    frozen = [f"{axis.name}: {axis.frozen}" for axis in axes if axis.frozen and axis.kind == kind]
    reasons = "; ".join(frozen) or f"it has no axis of the kind {kind}"
    raise PlanError(f"this model has no {kind} that can be cut ({reasons})")


def _scope(axis: Axis) -> str:
    return axis.name.rpartition(".")[0]


def _in_layers(name: str) -> bool:
    """Whether the axis belongs to one layer, or to all layers of a stack that share it."""
    scope = name.rpartition(".")[0]
    return "layers." in name or scope in ("", "encoder", "decoder")
