import random

import numpy as np
import pytest

from nlpcompress.search.knapsack import cheapest

FAR = 2**60


def best_of_all_weights(items, limit):
    """(cost, weight) from a table of the least cost of each weight up to the limit."""
    table = np.full(limit + 1, FAR)
    table[0] = 0
    for pairs in items:
        longer = np.full(limit + 1, FAR)
        for weight, cost in pairs:
            if weight <= limit:
                reached = table[: limit + 1 - weight] + cost
                longer[weight:] = np.minimum(longer[weight:], reached)
        table = longer
    return int(table.min()), int(table.argmin())


def found(items, limit):
    pairs = [item[pick] for item, pick in zip(items, cheapest(items, limit), strict=True)]
    return sum(cost for _, cost in pairs), sum(weight for weight, _ in pairs)


def matrices(rng, count, noise):
    """Pairs of 2, 3, 4, 6 and 8 bits; the less noise, the less the bounds can cut off."""
    return [
        [
            (size * bits + 3, round(size * 4.0 ** (12 - bits) * rng.uniform(1 - noise, 1 + noise)))
            for bits in (2, 3, 4, 6, 8)
        ]
        for size in (rng.randint(20, 400) for _ in range(count))
    ]


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.1, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_forty_matrices_of_distinct_sizes_match_a_table_of_all_weights(seed, noise):
    rng = random.Random(seed)
    items = matrices(rng, 40, noise)
    limit = round(sum(item[0][0] for item in items) * rng.uniform(1.05, 3))
    assert found(items, limit) == best_of_all_weights(items, limit)


@pytest.mark.parametrize("seed", range(200))
def test_small_numbers_with_many_ties_match_a_table_of_all_weights(seed):
    rng = random.Random(seed)
    items = [
        [(rng.randint(0, 9), rng.randint(0, 9)) for _ in range(rng.randint(1, 5))]
        for _ in range(rng.randint(1, 12))
    ]
    limit = sum(min(weight for weight, _ in item) for item in items) + rng.randint(0, 20)
    assert found(items, limit) == best_of_all_weights(items, limit)


def test_a_lighter_solution_of_the_same_cost_as_the_first_one_found_wins():
    items = [[(0, 3), (5, 2)], [(6, 3), (4, 4), (0, 5)], [(3, 0), (2, 1)]]
    assert found(items, 8) == best_of_all_weights(items, 8) == (7, 7)
