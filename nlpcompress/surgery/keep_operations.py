"""The edit `keep_operations`: each edge of a network of cells has fewer operations, or none."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from nlpcompress.core.edits import KeepOperations
from nlpcompress.errors import PlanError
from nlpcompress.models.cells import NORMAL, REDUCTION, Cell, CellConfig, Edge, edges_of
from nlpcompress.surgery.verify import Forward

KINDS = (NORMAL, REDUCTION)


def check_operations(model: nn.Module, edit: KeepOperations) -> None:
    """Raises `PlanError`: no network of cells, other edges, unknown operations, an idle node."""
    config = model.config
    if not isinstance(config, CellConfig):
        raise PlanError(
            f"keep_operations is for networks of cells ({CellConfig.model_type}), and this is a "
            f"{config.model_type}"
        )
    for kind in KINDS:
        _check(kind, getattr(edit, kind), getattr(config, kind), config.nodes)


def only_operations(model: nn.Module, edit: KeepOperations) -> Forward:
    """A forward pass in which the others do not take part: what the cut model computes."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        before = {edge: edge.kept for edge, _ in _edges(model, edit)}
        try:
            for edge, names in _edges(model, edit):
                edge.kept = names
            return model(**inputs)
        finally:
            for edge, kept in before.items():
                edge.kept = kept

    return forward


def cut_operations(model: nn.Module, edit: KeepOperations) -> None:
    """Delete the others, and make the config say so."""
    for edge, names in _edges(model, edit):
        for name in set(edge.operations) - set(names):
            del edge.operations[name]
        edge.kept = None
    for kind in KINDS:
        setattr(model.config, kind, [list(names) for names in getattr(edit, kind)])


def _edges(model: nn.Module, edit: KeepOperations) -> Iterator[tuple[Edge, tuple[str, ...]]]:
    for cell in model.modules():
        if isinstance(cell, Cell):
            yield from zip(cell.edges, getattr(edit, cell.kind), strict=True)


def _check(
    kind: str, kept: tuple[tuple[str, ...], ...], there: list[list[str]], nodes: int
) -> None:
    if len(kept) != len(there):
        raise PlanError(f"keep_operations: {kind} has {len(there)} edges, the edit {len(kept)}")
    for place, (names, own) in enumerate(zip(kept, there, strict=True)):
        if lacking := [name for name in names if name not in own]:
            raise PlanError(
                f"keep_operations: edge {place} of {kind} has no {lacking[0]}, but "
                f"{', '.join(own) or 'nothing'}"
            )
    busy = {node for (node, _), names in zip(edges_of(nodes), kept, strict=True) if names}
    if idle := sorted(set(range(nodes)) - busy):
        raise PlanError(f"keep_operations: nothing leads to node {idle[0]} of {kind}")
