import itertools
import math
import random
from fractions import Fraction

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.search import Choice, allocate, allocate_for_loss, total

WIDTHS = (2, 3, 4, 6, 8)


def every_allocation(items):
    """(loss, size, widths) of each allocation, the loss without any rounding."""
    for choices in itertools.product(*items.values()):
        loss = sum(Fraction(choice.loss) for choice in choices)
        size = sum(choice.size for choice in choices)
        yield loss, size, {n: c.bits for n, c in zip(items, choices, strict=True)}


def exact_cost(items, widths):
    chosen = [next(c for c in items[name] if c.bits == widths[name]) for name in items]
    return sum(Fraction(c.loss) for c in chosen), sum(c.size for c in chosen)


def random_loss(rng, bits, kind):
    if kind == "zeros and ties":
        return float(rng.choice([0, 0, 1, 2, 3]))
    if kind == "wide":
        return 10 ** rng.uniform(-12, 3) * 4.0**-bits
    return rng.uniform(0.9, 1.1) * 4.0**-bits


def random_items(rng):
    """Up to six items: equal or distinct sizes; losses tied, convex, or of 15 decades."""
    kind = rng.choice(["zeros and ties", "wide", "convex"])
    one_size = rng.random() < 0.5
    items = {}
    for index in range(rng.randint(1, 6)):
        weights = 768 * 768 * rng.choice([1, 4]) if one_size else rng.randint(1, 60)
        widths = sorted(rng.sample(WIDTHS, rng.randint(1, 4)))
        items[f"layer.{index}"] = [
            Choice(bits, weights * bits + 16 * rng.choice([0, 1]), random_loss(rng, bits, kind))
            for bits in widths
        ]
    return items


def a_budget(rng, items):
    least = sum(min(c.size for c in choices) for choices in items.values())
    most = sum(max(c.size for c in choices) for choices in items.values())
    return rng.choice([least, most, rng.randint(least, most)])


@pytest.mark.parametrize("seed", range(300))
def test_no_allocation_within_the_budget_loses_less_or_as_little_in_a_smaller_size(seed):
    rng = random.Random(seed)
    items = random_items(rng)
    budget = a_budget(rng, items)
    within = [(loss, size) for loss, size, _ in every_allocation(items) if size <= budget]
    assert exact_cost(items, allocate(items, budget)) == min(within)


@pytest.mark.parametrize("seed", range(300))
def test_no_allocation_within_the_loss_is_smaller_or_of_this_size_and_better(seed):
    rng = random.Random(seed)
    items = random_items(rng)
    bound = float(rng.choice([loss for loss, _, _ in every_allocation(items)]))
    within = [(size, loss) for loss, size, _ in every_allocation(items) if float(loss) <= bound]
    loss, size = exact_cost(items, allocate_for_loss(items, bound))
    assert (size, loss) == min(within)


@pytest.mark.parametrize("seed", range(50))
def test_with_floors_it_is_the_best_allocation_that_keeps_them(seed):
    rng = random.Random(seed)
    items = random_items(rng)
    floors = {
        name: rng.choice([c.bits for c in choices])
        for name, choices in items.items()
        if rng.random() < 0.7
    }
    every = [
        (loss, size)
        for loss, size, widths in every_allocation(items)
        if all(widths[name] >= floor for name, floor in floors.items())
    ]
    budget = rng.choice([size for _, size in every])
    found = allocate(items, budget, floors=floors)
    assert exact_cost(items, found) == min(one for one in every if one[1] <= budget)


@pytest.mark.parametrize("seed", range(50))
def test_neither_the_order_of_items_nor_that_of_choices_changes_the_result(seed):
    rng = random.Random(seed)
    size, losses = 64, [rng.choice([0.0, 1.0, 2.0]) for _ in range(3)]
    items = {
        name: [Choice(b, size * b, loss) for b, loss in zip((2, 4, 8), losses, strict=True)]
        for name in "abcdef"
    }
    shuffled = {name: rng.sample(items[name], len(items[name])) for name in rng.sample("abcdef", 6)}
    budget = size * rng.randint(12, 48)
    assert allocate(items, budget) == allocate(shuffled, budget)
    assert list(allocate(shuffled, budget)) == list(shuffled)


def test_of_choices_of_the_same_size_and_loss_the_fewer_bits_win():
    choices = [Choice(8, 8, 0.1), Choice(2, 8, 0.1), Choice(4, 8, 0.1)]
    assert allocate({"key": choices}, 8) == allocate_for_loss({"key": choices}, 1.0) == {"key": 2}


def test_a_loss_a_quadrillion_times_smaller_than_another_still_decides():
    small = [Choice(2, 2, 2e-12), Choice(4, 4, 1e-12)]
    large = [Choice(2, 2, 2e3), Choice(4, 4, 1e3)]
    items = {"large": large, "small": small, "tiny": [c._replace(loss=c.loss / 10) for c in small]}
    assert allocate(items, 10) == {"large": 4, "small": 4, "tiny": 2}


def test_a_bound_that_is_the_rounded_sum_of_losses_is_met_by_them():
    items = {name: [Choice(4, 4, 0.1)] for name in "abcdefghij"}
    assert math.fsum([0.1] * 10) < 10 * Fraction(0.1)
    assert allocate_for_loss(items, math.fsum([0.1] * 10)) == dict.fromkeys(items, 4)


ITEMS = {
    "query": [Choice(2, 250, 0.5), Choice(4, 450, 0.1)],
    "key": [Choice(2, 250, 0.3), Choice(4, 450, 0.2)],
}


def test_a_budget_that_cannot_be_met_tells_the_least_in_bits_and_by_weight():
    with pytest.raises(ConfigError, match="budget is 499 bits, but the least possible is 500 bits"):
        allocate(ITEMS, 499)
    with pytest.raises(ConfigError, match=r"499 bits \(1\.996 per weight\).*\(2\.000 per weight\)"):
        allocate(ITEMS, 499, weights=250)
    with pytest.raises(ConfigError, match="least possible is 700 bits"):
        allocate(ITEMS, 600, floors={"key": 3})
    assert allocate(ITEMS, 500) == {"query": 2, "key": 2}


def test_a_loss_that_cannot_be_met_tells_the_least():
    with pytest.raises(ConfigError, match=r"is 0\.25, but the least possible is 0\.3000000000"):
        allocate_for_loss(ITEMS, 0.25)
    with pytest.raises(ConfigError, match="bound of the loss is nan; it must be a finite"):
        allocate_for_loss(ITEMS, math.nan)


def test_a_budget_of_half_bits_is_no_budget():
    with pytest.raises(ConfigError, match=r"budget is 900\.5; it must be a whole number"):
        allocate(ITEMS, 900.5)


def test_floors_of_unknown_items_and_above_all_choices_are_errors():
    with pytest.raises(ConfigError, match="'querry' is none of the items; did you mean 'query'"):
        allocate(ITEMS, 900, floors={"querry": 4})
    with pytest.raises(ConfigError, match=r"'key' must get at least 5 bits, but its widest .* 4"):
        allocate_for_loss(ITEMS, 1.0, floors={"key": 5})


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({}, "there are no items"),
        ({"key": []}, "'key' has no choice"),
        ({"key": [Choice(4, 4, -0.1)]}, "loss of 'key' at 4 bits is -0.1; it must be a finite"),
        ({"key": [Choice(4, 4, math.nan)]}, "loss of 'key' at 4 bits is nan"),
        ({"key": [Choice(4, 4, math.inf)]}, "loss of 'key' at 4 bits is inf"),
        ({"key": [Choice(4, -4, 0.1)]}, "size of 'key' at 4 bits is -4; it must be a whole"),
        ({"key": [Choice(4, 4.5, 0.1)]}, "size of 'key' at 4 bits is 4.5"),
        ({"key": [Choice(4, 4, 0.1), Choice(4, 5, 0.0)]}, "'key' has several choices of 4 bits"),
    ],
)
def test_choices_that_cannot_be_compared_are_errors(items, message):
    for solve in (lambda: allocate(items, 100), lambda: allocate_for_loss(items, 1.0)):
        with pytest.raises(ConfigError, match=message):
            solve()


def test_the_total_is_the_sum_of_what_was_chosen():
    assert total(ITEMS, {"key": 4, "query": 2}) == (700, 0.7)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"query": 2}, "'key' got no bit width"),
        ({"query": 2, "key": 4, "keys": 4}, "'keys' is none of the items; did you mean 'key'"),
        ({"query": 3, "key": 4}, "'query' got 3 bits, but its choices are: 2, 4"),
    ],
)
def test_a_total_of_widths_that_do_not_match_the_items_is_an_error(widths, message):
    with pytest.raises(ConfigError, match=message):
        total(ITEMS, widths)
