"""The linear relaxation of the multiple-choice knapsack: its price, and a first whole solution.

Where an item may take parts of two options, the best solution goes down the lower convex hulls of
all items (weight against cost) step by step, the steepest steps first, until the room is used up.
The slope of the step that no longer fits is the price of one unit of weight [Sinha and Zoltners,
The Multiple-Choice Knapsack Problem, Operations Research 27(3), 1979].
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple


class Option(NamedTuple):
    """One option of an item; `place` is its index in the caller's sequence."""

    weight: int
    cost: int
    place: int


class Solution(NamedTuple):
    """One option of each item; the better solution is the smaller one."""

    cost: int
    weight: int
    places: tuple[int, ...]  # of each item's option


class Step(NamedTuple):
    """From a corner of an item's hull to the next; the smallest step is taken first."""

    slope: Fraction  # change of the cost by one unit of weight, below 0
    item: int
    before: Option
    after: Option


def undominated(options: Sequence[tuple[int, int]]) -> list[Option]:
    """The (weight, cost) pairs that no lighter one is as cheap as: weights rise, costs fall."""
    kept: list[Option] = []
    for option in sorted(Option(weight, cost, i) for i, (weight, cost) in enumerate(options)):
        if not kept or option.cost < kept[-1].cost:
            kept.append(option)
    return kept


def relax(items: Sequence[Sequence[Option]], limit: int) -> tuple[Fraction, Solution]:
    """The price of weight, and the solution of all steps that fit, an item's until one does not.

    The options of an item are undominated, and the lightest of all items fit into `limit`. The
    price is 0 where all steps fit.
    """
    picks = [options[0] for options in items]
    room = limit - sum(option.weight for option in picks)
    price = Fraction(0)
    for step in sorted(s for item, options in enumerate(items) for s in _steps(item, options)):
        added = step.after.weight - step.before.weight
        if added <= room and picks[step.item] == step.before:
            picks[step.item] = step.after
            room -= added
        elif not price:
            price = -step.slope
    cost = sum(option.cost for option in picks)
    return price, Solution(cost, limit - room, tuple(option.place for option in picks))


def _steps(item: int, options: Sequence[Option]) -> list[Step]:
    hull: list[Option] = []
    for option in options:
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], option):
            hull.pop()
        hull.append(option)
    return [Step(_slope(before, after), item, before, after) for before, after in pairwise(hull)]


def _slope(before: Option, after: Option) -> Fraction:
    return Fraction(after.cost - before.cost, after.weight - before.weight)
