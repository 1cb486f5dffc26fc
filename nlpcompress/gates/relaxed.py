"""Choices that are made by training: all options at once, each by its share, until one is left.

Source: Liu et al. 2019 (DARTS), section 2.2, equation 2: the mean of all options, weighed by a
softmax; Wu et al. 2018 (DNAS for mixed precision), section 4, for a price of their sizes.
Differs: shares and weights learn on the same batches, in one level (DARTS alternates between two
halves of the data); one exact choice of the likeliest options within the budget ends the search in
the middle of the training, and the rest of it is of what was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Objective, Progress, Step
from nlpcompress.search import Choice, allocate

UNDECIDED = -1


class RelaxedChoice(nn.Module):
    """What one part of a model gets: one of several options that take `costs`."""

    costs: Tensor
    place: Tensor

    def __init__(self, costs: Sequence[int]) -> None:
        super().__init__()
        self.options, self.chosen = tuple(costs), None
        self.logits = nn.Parameter(torch.zeros(len(costs)))
        self.register_buffer("costs", torch.tensor(costs, dtype=torch.float32), persistent=False)
        self.register_buffer("place", torch.tensor(UNDECIDED))
        self.register_load_state_dict_post_hook(_read_place)

    def shares(self) -> Tensor:
        """Of the options, float32 `(options,)`, 1 in sum."""
        return self.logits.softmax(0)

    def mix(self, options: Sequence[Callable[[], Tensor]]) -> Tensor:
        """Their mean by the shares; once one is chosen it alone, and no other is computed."""
        if self.chosen is not None:
            return options[self.chosen]()
        return sum(share * option() for share, option in zip(self.shares(), options, strict=True))

    def choose(self, place: int) -> None:
        """For good: the option at `place`."""
        self.chosen = place
        self.place.fill_(place)


class RelaxedChoices(nn.Module):
    """The choices of all parts, which together may cost `budget`.

    They are made when `choose_at` of the training's steps are done. `numbers`, if it is bits that
    they cost, only lets errors tell bits a weight. Raises `ConfigError` for a budget that nobody
    can meet.
    """

    def __init__(
        self,
        choices: Mapping[str, RelaxedChoice],
        *,
        budget: int,
        choose_at: float,
        numbers: int | None = None,
    ) -> None:
        super().__init__()
        self.names, self.choices = list(choices), nn.ModuleList(choices.values())
        self.budget, self.choose_at, self.numbers = budget, choose_at, numbers
        self._likeliest()

    def objective(self, weight: float) -> Objective:
        """`size`: by what share of the budget it is expected to be overspent."""
        return Objective("size", weight, self._overspent)

    def advance(self, progress: Progress) -> None:
        """Choose, when it is time."""
        if not self.decided and progress.step >= self.choose_at * progress.total:
            found = self._likeliest()
            for name, choice in zip(self.names, self.choices, strict=True):
                choice.choose(found[name])

    @property
    def decided(self) -> bool:
        """Whether all choices are made."""
        return all(choice.chosen is not None for choice in self.choices)

    def _overspent(self, step: Step) -> Tensor:
        if self.decided:  # a loss of nothing, with gradients for whoever waits for them
            return torch.stack([choice.logits.sum() for choice in self.choices]).sum() * 0
        expected = torch.stack([choice.shares() @ choice.costs for choice in self.choices]).sum()
        return (expected / self.budget - 1).relu()

    @torch.no_grad()
    def _likeliest(self) -> dict[str, int]:
        """Name → place: the greatest product of shares within the budget."""
        items = {}
        for name, choice in zip(self.names, self.choices, strict=True):
            losses = (-choice.logits.log_softmax(0)).clamp_min(0).tolist()
            sizes = enumerate(zip(choice.options, losses, strict=True))
            items[name] = [Choice(place, size, loss) for place, (size, loss) in sizes]
        return allocate(items, self.budget, weights=self.numbers)


def _read_place(choice: RelaxedChoice, _: object) -> None:
    place = int(choice.place)
    choice.chosen = None if place == UNDECIDED else place
