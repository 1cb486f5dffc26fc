"""Whether a cheap trial may become the best, if it gains from there on what others gained.

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
    """What must hold, and the cost that is sought, as little of it as can be."""

    budget: Budget
    objective: str

    def __call__(self, whole: Sequence[Way], way: Way) -> bool:
        """Whether the trial that came this way may become better than all that are whole.

        The first ones go on: there is nothing to forecast by.
        """
        if not whole:
            return True
        return self._place(self.forecast(whole, way)) < min(self._place(own[-1]) for own in whole)

    def forecast(self, whole: Sequence[Way], way: Way) -> dict[str, float]:
        """What it costs in the end, if it gains as much of each as the one that gained most, or
        keeps the share of it that whole trials kept: what is far off has further to go.
        """
        now = len(way) - 1
        return {
            name: _last(value, [(own[now][name], own[-1][name]) for own in whole])
            for name, value in way[now].items()
        }

    def _place(self, costs: Costs) -> tuple[float, float]:
        """Less is better: what is broken, then the objective."""
        return sum(self.budget.misses(costs).values()), costs[self.objective]


def _last(value: float, seen: Sequence[tuple[float, float]]) -> float:
    """Of one cost that has this value now, where others had the first, and then the second."""
    gains = [after - before for before, after in seen]
    before, after = map(sum, zip(*seen, strict=True))
    share = after / before if min(before, after, value) > 0 else 1.0
    return min(value + min(gains), value * share)
