"""Which of several results none of the others beats in everything."""

from collections.abc import Sequence


def front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Numbers of the results that no other one is at least as good as in all costs, and better in
    one; less is better. Of equal ones all are on the front.

    >>> front([(1, 5), (2, 2), (3, 3), (2, 2)])
    [0, 1, 3]
    """
    return [
        number
        for number, own in enumerate(costs)
        if not any(_dominates(other, own) for other in costs)
    ]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
