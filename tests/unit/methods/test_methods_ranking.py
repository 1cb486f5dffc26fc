"""The global ranking: counts, floors, blocks, ties."""

import itertools
import random

import pytest

from nlpcompress.errors import PlanError
from nlpcompress.methods.pruning.ranking import keep_best, keep_plan


def count(kept):
    return sum(len(positions) for positions in kept.values())


def test_the_best_of_all_axes_stay():
    scores = {"a": [3.0, 1.0, 2.0], "b": [0.3, 0.1, 0.2]}
    assert keep_best(scores, keep=0.5) == {"a": (0, 2), "b": (0,)}
    assert keep_best(scores, keep=0.5, min_keep=2) == {"a": (0, 2), "b": (0, 2)}


def test_no_axis_is_emptied_and_floors_win_over_the_share():
    scores = {"a": [9.0] * 8, "b": [0.0] * 8}
    kept = keep_best(scores, keep=0.01)
    assert kept == {"a": (0,), "b": (0,)}
    assert keep_best(scores, keep=0.5, min_keep=20) == {"a": tuple(range(8)), "b": tuple(range(8))}


def test_keep_one_keeps_all_and_plans_nothing():
    scores = {"a": [1.0, 2.0], "b": [0.0, 0.0]}
    kept = keep_best(scores, keep=1.0, round_to=8)
    assert kept == {"a": (0, 1), "b": (0, 1)}
    assert len(keep_plan(scores, kept)) == 0


@pytest.mark.parametrize("keep", [0.05, 0.25, 0.5, 0.77, 1.0])
def test_the_share_is_met_to_the_nearest(keep):
    generator = random.Random(0)
    scores = {name: [generator.random() for _ in range(12)] for name in "abcdef"}
    assert count(keep_best(scores, keep=keep)) == max(6, int(keep * 72 + 0.5))


def test_brute_force_agrees():
    """Of all choices of that size that empty no axis, it has the largest sum of scores."""
    generator = random.Random(1)
    scores = {name: [generator.random() for _ in range(4)] for name in "ab"}
    kept = keep_best(scores, keep=0.5)
    flat = [(name, i) for name in scores for i in range(4)]
    allowed = [c for c in itertools.combinations(flat, 4) if {name for name, _ in c} == {"a", "b"}]
    best = max(allowed, key=lambda c: sum(scores[name][i] for name, i in c))
    assert {(n, i) for n, positions in kept.items() for i in positions} == set(best)


def test_ties_are_spread_over_the_axes_and_deterministic():
    scores = {"a": [1.0] * 4, "b": [1.0] * 4}
    assert keep_best(scores, keep=0.5) == {"a": (0, 1), "b": (0, 1)}
    assert keep_best({"b": [1.0] * 4, "a": [1.0] * 4}, keep=0.375) == {"b": (0, 1), "a": (0,)}


@pytest.mark.parametrize("round_to", [1, 3, 8])
def test_each_axis_keeps_a_multiple_or_all(round_to):
    generator = random.Random(round_to)
    scores = {
        name: [generator.random() ** (i + 1) for _ in range(30)] for i, name in enumerate("abcd")
    }
    for keep in (0.1, 0.5, 0.9):
        kept = keep_best(scores, keep=keep, round_to=round_to)
        sizes = [len(positions) for positions in kept.values()]
        assert all(size % round_to == 0 or size == 30 for size in sizes)
        assert all(size >= round_to for size in sizes)
        assert keep * 120 - round_to < sum(sizes) <= max(keep * 120 + 0.5, 4 * round_to)


def test_blocks_hold_the_best_of_their_axis():
    scores = {"a": [0.1, 0.9, 0.2, 0.8, 0.3, 0.7]}
    assert keep_best(scores, keep=0.5, round_to=2) == {"a": (1, 3)}
    assert keep_best(scores, keep=0.7, round_to=2) == {"a": (1, 3, 4, 5)}


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(PlanError, match=r"position 1 of axis 'layers.0.heads' is nan"):
        keep_best({"layers.0.heads": [1.0, float("nan")]}, keep=0.5)


def test_the_plan_names_axes_that_lose_something():
    scores = {"a": [3.0, 2.0], "b": [1.0, 0.0]}
    plan = keep_plan(scores, keep_best(scores, keep=0.75))
    assert plan.to_json() == [{"op": "keep", "axis": "b", "indices": [0]}]
