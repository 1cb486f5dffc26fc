"""Axes of several lengths at once, while a training chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Objective, Progress
from nlpcompress.gates.cover import GatePlaces
from nlpcompress.gates.gate import Gate
from nlpcompress.gates.gate_set import GateSet
from nlpcompress.gates.relaxed import RelaxedChoice, RelaxedChoices


class RelaxedWidth(Gate):
    """Leaves the first positions open: `counts` of them, one number an option."""

    masks: Tensor

    def __init__(self, places: GatePlaces, counts: Sequence[int], choice: RelaxedChoice) -> None:
        super().__init__(places)
        self._choice = (choice,)
        positions = torch.arange(self.mask.numel())
        masks = [(positions < count).reshape(places.shape).float() for count in counts]
        self.register_buffer("masks", torch.stack(masks), persistent=False)

    def forward(self) -> Tensor:
        """The mean of the masks, in the shape of one."""
        return self._choice[0].mix(
            [partial(self.masks.__getitem__, k) for k in range(len(self.masks))]
        )


class RelaxedWidths(GateSet):
    """Gates whose lengths are chosen; `weight` is the price of overspending the budget."""

    def __init__(
        self,
        model: nn.Module,
        gates: Sequence[RelaxedWidth],
        choices: RelaxedChoices,
        *,
        weight: float,
        learning_rate: float,
    ) -> None:
        super().__init__(model, gates, weight=weight, learning_rate=learning_rate)
        self.choices = choices.to(next(model.parameters()).device)

    def objectives(self) -> tuple[Objective, ...]:
        """`size`."""
        return (self.choices.objective(self.weight),)

    def advance(self, progress: Progress) -> None:
        """Choose, when it is time."""
        self.choices.advance(progress)
