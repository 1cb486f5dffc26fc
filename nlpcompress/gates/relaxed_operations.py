"""Edges of cells with all operations at once, while a training chooses among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Objective, Progress
from nlpcompress.errors import ConfigError
from nlpcompress.gates.gate_set import NAME
from nlpcompress.models.cells import Cell, Edges

Decide = Callable[[Sequence[Sequence[float]], Edges], list[list[str]]]
"""Shares of the operations of each edge, and their names → the names that stay."""
SPREAD = 1e-3


class RelaxedOperations(nn.Module):
    """Shares of operations, one table for all cells of a kind; `model` holds this module.

    They are settled when `choose_at` of the training's steps are done. Edges keep what was chosen
    as `kept` when this closes, and forget what an earlier training chose. Raises `ConfigError` when
    the model has gates already.
    """

    def __init__(
        self,
        model: nn.Module,
        cells: Sequence[Cell],
        *,
        decide: Decide,
        choose_at: float,
        group: dict[str, Any],
    ) -> None:
        super().__init__()
        if hasattr(model, NAME):
            raise ConfigError("the model has gates already; train with one method that puts gates")
        self._model, self._cells = (model,), tuple(cells)
        self._decide, self._choose_at, self._group = decide, choose_at, group
        self.names = {cell.kind: [list(edge.operations) for edge in cell.edges] for cell in cells}
        self.logits = nn.ParameterDict(
            {kind: SPREAD * torch.randn(len(own), len(own[0])) for kind, own in self.names.items()}
        )
        self.register_buffer("decided", torch.tensor(False))
        self._settled = False
        self.register_load_state_dict_post_hook(_read_decision)
        for cell in cells:
            for place, edge in enumerate(cell.edges):
                edge.shares, edge.kept = partial(self._row, cell.kind, place), None
        self.to(next(model.parameters()).device)
        model.add_module(NAME, self)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group."""
        return [{"params": list(self.parameters()), **self._group}]

    def objectives(self) -> tuple[Objective, ...]:
        """Only the task says which operations are good."""
        return ()

    def advance(self, progress: Progress) -> None:
        """Choose, when it is time."""
        if not self._settled and progress.step >= self._choose_at * progress.total:
            self.settle()

    def settle(self) -> None:
        """From now on edges have what was chosen alone."""
        self._settled = True
        self.decided.fill_(True)
        for cell in self._cells:
            kept = self._decide(self.logits[cell.kind].softmax(1).tolist(), self.names[cell.kind])
            for edge, names in zip(cell.edges, kept, strict=True):
                edge.kept = tuple(names)

    def close(self) -> None:
        """Leave the model; without a choice edges are means again."""
        for cell in self._cells:
            for edge in cell.edges:
                edge.shares = None
        delattr(self._model[0], NAME)

    def _row(self, kind: str, place: int) -> Tensor:
        return self.logits[kind][place].softmax(0)


def _read_decision(gates: RelaxedOperations, _: object) -> None:
    if bool(gates.decided):
        gates.settle()
