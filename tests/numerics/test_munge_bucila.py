"""MUNGE of Buciluǎ et al. 2006 against its algorithm in plain loops, and against the manifold."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from nlpcompress.data.augmentation.munge import munge, nearest_neighbours
from nlpcompress.errors import DataError

SOME = {"copies": 3, "swap_probability": 0.5, "local_variance": 5.0, "seed": 0}


def ring(count=1000):
    """Points around a circle of radius 10, in units that differ a thousandfold."""
    generator = np.random.default_rng(0)
    angles = generator.uniform(0, 2 * np.pi, count)
    radii = generator.normal(10, 0.1, count)
    return np.stack([radii * np.cos(angles), 1000 * radii * np.sin(angles)], 1)


def mixed(count=60):
    generator = np.random.default_rng(1)
    return generator.normal(size=(count, 3)), generator.integers(0, 5, (count, 6))


def distance_to(real, made):
    return NearestNeighbors(n_neighbors=1).fit(real).kneighbors(made)[0].mean()


def independent(real, count):
    """Every attribute drawn by itself from its own values."""
    generator = np.random.default_rng(0)
    return np.stack([generator.choice(column, count) for column in real.T], 1)


def test_nothing_changes_with_probability_zero():
    numbers, kinds = mixed()
    made, made_kinds = munge(numbers, kinds, **{**SOME, "swap_probability": 0.0})
    assert (made == np.tile(numbers, (3, 1))).all()
    assert (made_kinds == np.tile(kinds, (3, 1))).all()


def test_without_variance_the_two_swap_exactly_in_the_order_of_the_examples():
    numbers, kinds = mixed()
    every = {"copies": 1, "swap_probability": 1.0, "local_variance": np.inf, "seed": 0}
    made, made_kinds = munge(numbers, kinds, **every)
    expected, expected_kinds = numbers.copy(), kinds.copy()
    for e, partner in enumerate(nearest_neighbours(numbers, kinds)):
        for values in (expected, expected_kinds):
            values[[e, partner]] = values[[partner, e]]
    assert (made == expected).all()
    assert (made_kinds == expected_kinds).all()
    assert (made != numbers).any()
    assert (made_kinds != kinds).any()


def test_swaps_keep_the_values_of_every_attribute():
    numbers, kinds = mixed()
    made, made_kinds = munge(numbers, kinds, **{**SOME, "copies": 1, "local_variance": np.inf})
    assert (np.sort(made, 0) == np.sort(numbers, 0)).all()
    assert (np.sort(made_kinds, 0) == np.sort(kinds, 0)).all()
    assert 0.2 < (made != numbers).mean() < 0.8


def test_both_partners_are_drawn_around_the_other_with_the_right_spread():
    # 0 and 1 are each other's neighbours; so are 2 and 3, far away and equal
    numbers = np.array([[0.0], [6.0], [1000.0], [1000.0]])
    made, _ = munge(numbers, copies=5_000, swap_probability=1.0, local_variance=3.0, seed=0)
    first, second, third, fourth = made.reshape(-1, 4).T
    assert (third == 1000).all()
    assert (fourth == 1000).all()
    # the first visit: a ~ N(6, 2), b ~ N(0, 2); the second, of b: a' ~ N(b, |a-b|/3), b' ~ N(a, …)
    # so E a' = 0 and E b' = 6; with a-b ~ N(6, √8), both have the variance 4 + (36 + 8)/9
    for values, mean in ((first, 0), (second, 6)):
        variance = 4 + 44 / 9
        assert values.mean() == pytest.approx(mean, abs=4 * (variance / 5_000) ** 0.5)
        assert values.var() == pytest.approx(variance, rel=0.15)


def test_attributes_change_with_the_given_probability_each_by_itself():
    generator = np.random.default_rng(0)
    numbers = np.array([[0.0, 0.0], [1.0, 1.0]]) + generator.normal(0, 1e-9, (2, 2))
    made, _ = munge(numbers, copies=8000, swap_probability=0.3, local_variance=np.inf, seed=0)
    swapped = made.reshape(-1, 2, 2)[:, 0] > 0.5
    once = 2 * 0.3 * 0.7  # two visits, and two swaps are none
    assert swapped.mean(0) == pytest.approx([once, once], abs=0.025)
    assert swapped.all(1).mean() == pytest.approx(once**2, abs=0.025)


def test_neighbours_are_those_of_plain_loops_over_scaled_numbers_and_categories():
    numbers, kinds = mixed()
    numbers[:, 1] *= 1000
    scaled = (numbers - numbers.min(0)) / np.ptp(numbers, axis=0)
    expected = []
    for e in range(len(numbers)):
        distances = ((scaled - scaled[e]) ** 2).sum(1) + (kinds != kinds[e]).sum(1)
        distances[e] = np.inf
        expected.append(distances.argmin())
    assert nearest_neighbours(numbers, kinds).tolist() == expected


def test_an_example_that_is_there_twice_is_not_its_own_neighbour():
    numbers = np.zeros((3, 2))
    assert (nearest_neighbours(numbers, None) != np.arange(3)).all()


def test_categories_alone_and_categories_as_text_will_do():
    kinds = np.array([["a", "x"], ["a", "y"], ["b", "x"]])
    every = {"copies": 2, "swap_probability": 1.0, "local_variance": 1.0, "seed": 0}
    made, made_kinds = munge(np.zeros((3, 0)), kinds, **every)
    assert made.shape == (6, 0)
    assert sorted(made_kinds[:3, 0]) == ["a", "a", "b"]


def test_the_ring_is_kept_where_independent_attributes_fill_the_square():
    real = ring() / [1, 1000]
    made, _ = munge(ring(), **SOME)
    made = made / [1, 1000]
    off, square = distance_to(real, made), distance_to(real, independent(real, len(made)))
    assert off < square / 10
    assert np.abs(np.hypot(*made.T) - 10).mean() < 0.2
    quantiles = np.linspace(0, 1, 11)
    assert np.quantile(made, quantiles, 0) == pytest.approx(
        np.quantile(real, quantiles, 0), abs=0.3
    )


def test_digits_stay_nearer_to_real_ones_than_independent_pixels():
    real = load_digits().data[:600]
    made, _ = munge(real, **SOME)
    assert distance_to(real, made) < distance_to(real, independent(real, len(made))) / 2
    assert made.mean(0) == pytest.approx(real.mean(0), abs=0.5)


def test_a_seed_gives_the_same_examples_however_many_copies_follow():
    numbers, kinds = mixed()
    first = munge(numbers, kinds, **SOME)
    more = munge(numbers, kinds, **{**SOME, "copies": 5})
    other = munge(numbers, kinds, **{**SOME, "seed": 1})
    for a, b, c in zip(first, more, other, strict=True):
        assert (b[: len(a)] == a).all()
        assert (c != a).any()
        assert (a[:60] != a[60:120]).any()


def test_the_data_itself_is_left_as_it_was():
    numbers, kinds = mixed()
    before = numbers.copy(), kinds.copy()
    munge(numbers, kinds, **SOME)
    assert (numbers == before[0]).all()
    assert (kinds == before[1]).all()


@pytest.mark.parametrize(
    ("numbers", "kinds", "changes", "message"),
    [
        (np.zeros((1, 2)), None, {}, "1 example has no neighbour"),
        (np.zeros(3), None, {}, r"got the shapes \[\(3,\)\]"),
        (np.zeros((3, 1)), np.zeros((2, 1), int), {}, "3 examples have numbers, 2 have categories"),
        (np.array([[np.nan], [0.0]]), None, {}, "gaps or infinities"),
        (np.zeros((3, 1)), None, {"copies": 0}, "copies is 0"),
        (np.zeros((3, 1)), None, {"swap_probability": 1.1}, r"swap_probability is 1\.1"),
        (np.zeros((3, 1)), None, {"local_variance": 0.0}, r"local_variance is 0\.0"),
    ],
)
def test_what_cannot_be_done_is_refused(numbers, kinds, changes, message):
    with pytest.raises(DataError, match=message):
        munge(numbers, kinds, **{**SOME, **changes})
