"""Weights rounded to several numbers of bits at once, while a training chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from nlpcompress.core.method import Objective, Progress
from nlpcompress.gates.fake_quant import FakeQuant
from nlpcompress.gates.fake_quant_set import FakeQuantSet, Rounded
from nlpcompress.gates.relaxed import RelaxedChoice, RelaxedChoices
from nlpcompress.models.grid import Grid, Scheme


class RelaxedFakeQuant(nn.Module):
    """A grid for each option of `choice`, which other weights may share."""

    def __init__(self, grids: Sequence[FakeQuant], choice: RelaxedChoice) -> None:
        super().__init__()
        self.grids, self._choice = nn.ModuleList(grids), (choice,)

    def forward(self, matrix: Tensor) -> Tensor:
        """`(rows, columns)` → the mean of its roundings."""
        return self._choice[0].mix([partial(grid, matrix) for grid in self.grids])

    def follow(self, matrix: Tensor) -> None:
        """Before an optimizer step: all grids that may still be chosen."""
        chosen = self._choice[0].chosen
        for grid in self.grids if chosen is None else [self.grids[chosen]]:
            grid.follow(matrix)

    @property
    def scheme(self) -> Scheme:
        """Of what was chosen."""
        return self._settled.scheme

    @property
    def grid(self) -> Grid:
        """Of what was chosen."""
        return self._settled.grid

    @property
    def _settled(self) -> FakeQuant:
        """Before a choice, as when a training was broken off: the finest."""
        chosen = self._choice[0].chosen
        return self.grids[-1 if chosen is None else chosen]


class RelaxedFakeQuantSet(FakeQuantSet):
    """Grids whose bits are chosen; `size_weight` is the price of overspending the budget."""

    def __init__(
        self,
        model: nn.Module,
        parts: Sequence[Rounded],
        choices: RelaxedChoices,
        *,
        size_weight: float,
        learning_rate: float,
    ) -> None:
        super().__init__(model, parts, learning_rate=learning_rate)
        self.size_weight = size_weight
        self.choices = choices.to(next(model.parameters()).device)

    def objectives(self) -> tuple[Objective, ...]:
        """`size`."""
        return (self.choices.objective(self.size_weight),)

    def advance(self, progress: Progress) -> None:
        """Choices first: ranges that are not needed any more stay."""
        self.choices.advance(progress)
        super().advance(progress)
