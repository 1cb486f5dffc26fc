"""The dynamic program over the items: the partial solutions that may still be the best."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from nlpcompress.search.relaxation import Option


class Stage(NamedTuple):
    """One item and what is known of the items after it."""

    item: int
    options: Sequence[Option]
    lightest: int  # weight of the later items' lightest options
    heaviest: int  # weight of the later items' heaviest options
    priced: int  # sum of the later items' least cost + price · weight
    usual: int  # weight of a good solution up to this item


class State(NamedTuple):
    """One option of each item so far; `path` is (item, place, path before), () at the start."""

    weight: int
    cost: int
    path: tuple[Any, ...]


class Bounds(NamedTuple):
    """What a solution must keep to be of use."""

    limit: int  # most weight
    ceiling: int  # most cost
    price: int  # cost of one unit of weight in the linear relaxation


def stages(
    items: Sequence[Sequence[Option]], order: Sequence[int], good: Sequence[int], price: int
) -> list[Stage]:
    """The items in this order; `good` has each item's weight in a good solution."""
    found: list[Stage] = []
    lightest = heaviest = priced = 0
    usual = sum(good)
    for item in reversed(order):
        options = items[item]
        found.append(Stage(item, options, lightest, heaviest, priced, usual))
        lightest += options[0].weight
        heaviest += options[-1].weight
        priced += min(option.cost + price * option.weight for option in options)
        usual -= good[item]
    return found[::-1]


def sweep(stages: Sequence[Stage], bounds: Bounds, width: int) -> tuple[list[State], bool]:
    """The states after these stages, weights rising and costs falling; whether they are all.

    After each item only states that no lighter one is as cheap as are kept [Nemhauser and Ullmann,
    Discrete Dynamic Programming and Capital Allocation, Management Science 15(9), 1969], and of
    them only those that the later items may complete within the bounds: items of weight w cost at
    least `priced` - price · w, and w exceeds neither the room nor `heaviest`. Of more than `width`
    states the ones of least cost + price · weight stay, of equal ones those as heavy as usual.
    """
    states, all_kept = [State(0, 0, ())], True
    for stage in stages:
        states = _undominated(_grown(states, stage, bounds))
        if len(states) > width:
            states, all_kept = _best(states, stage, bounds.price, width), False
    return states, all_kept


def _grown(states: Sequence[State], stage: Stage, bounds: Bounds) -> list[State]:
    limit, ceiling, price = bounds
    grown = []
    for state in states:
        for option in stage.options:
            room = limit - state.weight - option.weight
            if room < stage.lightest:
                break
            cost = state.cost + option.cost
            if cost + stage.priced - price * min(room, stage.heaviest) <= ceiling:
                grown.append(State(limit - room, cost, (stage.item, option.place, state.path)))
    return grown


def _best(states: Sequence[State], stage: Stage, price: int, width: int) -> list[State]:
    def rank(state: State) -> tuple[int, int]:
        return state.cost + price * state.weight, abs(state.weight - stage.usual)

    return sorted(sorted(states, key=rank)[:width], key=lambda s: s.weight)


def _undominated(states: list[State]) -> list[State]:
    kept: list[State] = []
    for state in sorted(states, key=lambda s: (s.weight, s.cost)):
        if not kept or state.cost < kept[-1].cost:
            kept.append(state)
    return kept
