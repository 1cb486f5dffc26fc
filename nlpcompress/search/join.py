"""A whole solution from the states of two sweeps that share the items between them."""

from collections.abc import Sequence

from nlpcompress.search.relaxation import Solution
from nlpcompress.search.sweep import State


def join(heads: Sequence[State], tails: Sequence[State], limit: int) -> Solution | None:
    """The pair of least cost, then least weight, within the limit; None when none is.

    Both have rising weights and falling costs, so a head's best tail is the heaviest that fits.
    """
    best, fitting = None, len(tails)
    for head in heads:
        while fitting and head.weight + tails[fitting - 1].weight > limit:
            fitting -= 1
        if not fitting:
            break
        pair = head, tails[fitting - 1]
        if best is None or _cost(*pair) < _cost(*best):
            best = pair
    return best and _solution(*best)


def _cost(head: State, tail: State) -> tuple[int, int]:
    return head.cost + tail.cost, head.weight + tail.weight


def _solution(head: State, tail: State) -> Solution:
    places = _places(head) | _places(tail)
    return Solution(*_cost(head, tail), tuple(places[item] for item in range(len(places))))


def _places(state: State) -> dict[int, int]:
    """Item → place of its option, for each item so far."""
    places, path = {}, state.path
    while path:
        item, place, path = path
        places[item] = place
    return places
