"""The front holds what nothing beats."""

import random

from nlpcompress.search.pareto import front


def test_the_front_by_definition():
    chance = random.Random(0)
    for _ in range(50):
        points = [tuple(chance.randrange(4) for _ in range(3)) for _ in range(12)]
        beaten = {
            number
            for number, own in enumerate(points)
            for other in points
            if other != own and max(a - b for a, b in zip(other, own, strict=True)) <= 0
        }
        assert front(points) == [n for n in range(12) if n not in beaten]


def test_one_cost_has_its_least_and_nothing_is_no_front():
    assert front([(3,), (1,), (1,)]) == [1, 2]
    assert front([]) == []
