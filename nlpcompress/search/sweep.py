"""One pass of the dynamic program over the items: the partial solutions that may still win."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from nlpcompress.search.relaxation import Option, Solution


class Stage(NamedTuple):
    """One item and what is known of the items after it."""

    item: int
    options: Sequence[Option]
    lightest: int  # weight of the later items' lightest options
    heaviest: int  # weight of the later items' heaviest options
    priced: int  # sum of the later items' least cost + price · weight


class State(NamedTuple):
    """One option of each item so far; `path` is (index, path before), () at the start."""

    weight: int
    cost: int
    path: tuple[Any, ...]


def stages(items: Sequence[Sequence[Option]], price: int, order: Sequence[int]) -> list[Stage]:
    """The items in the order of the sweep."""
    found: list[Stage] = []
    lightest = heaviest = priced = 0
    for item in reversed(order):
        options = items[item]
        found.append(Stage(item, options, lightest, heaviest, priced))
        lightest += options[0].weight
        heaviest += options[-1].weight
        priced += min(option.cost + price * option.weight for option in options)
    return found[::-1]


def sweep(
    stages: Sequence[Stage], *, price: int, limit: int, ceiling: int, width: int
) -> tuple[Solution | None, bool]:
    """The best solution found that costs at most `ceiling`, and whether it is the best there is.

    After each item only states that no lighter one is as cheap as are kept [Nemhauser and Ullmann,
    Discrete Dynamic Programming and Capital Allocation, Management Science 15(9), 1969], of them
    only those that may end at `ceiling` or below: later items of weight w cost at least
    `priced` - price · w, and w exceeds neither the room nor `heaviest`. Of more than `width`
    states the ones of least cost + price · weight stay, and the best may be lost.
    """
    states, whole = [State(0, 0, ())], True
    for stage in stages:
        states = _undominated(_grown(states, stage, price, limit, ceiling))
        if len(states) > width:
            states = sorted(states, key=lambda s: (s.cost + price * s.weight, s.weight))[:width]
            whole = False
    if not states:
        return None, whole
    best = min(states, key=lambda s: (s.cost, s.weight))
    return Solution(best.cost, best.weight, _picks(best, stages)), whole


def _grown(
    states: Sequence[State], stage: Stage, price: int, limit: int, ceiling: int
) -> list[State]:
    grown = []
    for state in states:
        for option in stage.options:
            room = limit - state.weight - option.weight
            if room < stage.lightest:
                break
            cost = state.cost + option.cost
            if cost + stage.priced - price * min(room, stage.heaviest) <= ceiling:
                grown.append(State(limit - room, cost, (option.index, state.path)))
    return grown


def _undominated(states: list[State]) -> list[State]:
    kept: list[State] = []
    for state in sorted(states, key=lambda s: (s.weight, s.cost)):
        if not kept or state.cost < kept[-1].cost:
            kept.append(state)
    return kept


def _picks(state: State, stages: Sequence[Stage]) -> tuple[int, ...]:
    picks, path = {}, state.path
    for stage in reversed(stages):
        picks[stage.item], path = path
    return tuple(picks[item] for item in range(len(stages)))
