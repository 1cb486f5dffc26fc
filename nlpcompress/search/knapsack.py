"""The multiple-choice knapsack, solved exactly in whole numbers.

Differs: `scipy.optimize.milp` (HiGHS) is not used, as its tolerances are absolute (1e-6): with
losses from 1e-12 to 1e3 most of its solutions are worse than the best.
"""

import math
from collections.abc import Sequence
from itertools import count

from nlpcompress.search.relaxation import Option, Solution, relax, undominated
from nlpcompress.search.sweep import stages, sweep

Options = Sequence[Sequence[Option]]


def cheapest(items: Sequence[Sequence[tuple[int, int]]], limit: int) -> tuple[int, ...]:
    """The index of one (weight, cost) pair of each item: least cost, then least weight.

    The weights sum to at most `limit`; the caller sees to it that the lightest pairs do. A wider
    sweep follows a narrow one, with the narrow one's solution as the bound, until nothing that
    could be better was left out. The time may grow exponentially, as the problem is NP-hard, but
    150 items of 5 pairs with convex costs take well below a second.
    """
    options = [undominated(item) for item in items]
    limit = _reachable(options, limit)
    price, best = relax(options, limit)
    # Costs in units of 1 / denominator make the price of a unit of weight a whole number.
    unit = price.denominator
    options = [[o._replace(cost=o.cost * unit) for o in item] for item in options]
    best = best._replace(cost=best.cost * unit)
    for width in (64 * 4**i for i in count()):
        best, proven = _improved(options, price.numerator, limit, best, width)
        if proven:
            break
    return best.picks


def _reachable(items: Options, limit: int) -> int:
    """The largest sum of weights up to `limit` that the common divisor of differences allows."""
    lightest = sum(options[0].weight for options in items)
    step = math.gcd(*(o.weight - options[0].weight for options in items for o in options))
    return limit - (limit - lightest) % step if step else lightest


def _improved(
    items: Options, price: int, limit: int, best: Solution, width: int
) -> tuple[Solution, bool]:
    """A solution as good as `best` or better, and whether it is proven to be the best."""
    floors = [min(o.cost + price * o.weight for o in options) for options in items]
    gap = best.cost - (sum(floors) - price * limit)
    if not gap:
        return best, True
    near = [
        [o for o in options if o.cost + price * o.weight - floor <= gap]
        for options, floor in zip(items, floors, strict=True)
    ]
    order = sorted(range(len(near)), key=lambda item: (-_second(near[item], price), item))
    found, whole = sweep(
        stages(near, price, order), price=price, limit=limit, ceiling=best.cost, width=width
    )
    return (min(best, found) if found else best), whole


def _second(options: Sequence[Option], price: int) -> int:
    """How much the second best option costs above the best, its weight paid for; 0 if alone.

    Items whose second option is dear come first: they leave few states.
    """
    paid = sorted(option.cost + price * option.weight for option in options)
    return paid[1] - paid[0] if len(paid) > 1 else 0
