"""Whether a cheap trial may become the best: what others gained from there on is added to it.

Successive halving compares trials by the objective alone, and a fast network is the fastest from
its first step on, however bad it is. Here a trial goes on while its forecast is better than the
best whole trial so far, in what it breaks of the budget first and in the objective then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nlpcompress.core.budget import Budget

Costs = Mapping[str, float]
Way = Sequence[Costs]
"""What a trial cost, run by run; of a whole trial the last is what counts."""


@dataclass(frozen=True)
class Promise:
    """What must hold and what is sought; `greater` says whether more of it is better."""

    budget: Budget
    objective: str
    greater: bool

    def __call__(self, whole: Sequence[Way], way: Way) -> bool:
        """Whether the trial that came this way may become better than all that are whole.

        The first ones go on: there is nothing to forecast by.
        """
        if not whole:
            return True
        return self._place(self.forecast(whole, way)) < min(self._place(own[-1]) for own in whole)

    def forecast(self, whole: Sequence[Way], way: Way) -> dict[str, float]:
        """What it costs in the end, if it gains as much of each as the one that gained most."""
        now = len(way) - 1
        return {
            name: value + self._most(name, [own[-1][name] - own[now][name] for own in whole])
            for name, value in way[now].items()
        }

    def _most(self, name: str, gains: Sequence[float]) -> float:
        return max(gains) if self.greater and name == self.objective else min(gains)

    def _place(self, costs: Costs) -> tuple[float, float]:
        """Less is better: what is broken, then the objective."""
        sought = costs[self.objective]
        return sum(self.budget.misses(costs).values()), -sought if self.greater else sought
