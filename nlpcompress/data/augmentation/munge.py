"""Synthetic examples of numbers and categories that stay where the real ones are: MUNGE.

Each example meets its nearest neighbour, and in some attributes the two take each other's place:
categories are swapped, numbers are drawn around the partner's.

Source: C. Buciluǎ, R. Caruana and A. Niculescu-Mizil, "Model Compression", KDD 2006, Algorithm 1.
Differs: neighbours are found once, among the real examples. Known re-implementations search the
half-changed copy for every example anew, which costs a whole search an example and lets partners
drift. The distance is the root of squared differences of numbers scaled to 0…1 plus the count of
categories that differ.
"""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from nlpcompress.errors import DataError


def munge(
    continuous: np.ndarray,
    nominal: np.ndarray | None = None,
    *,
    copies: int,
    swap_probability: float,
    local_variance: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """`copies` changed copies of all the data, one after the other, without the data itself.

    `continuous` are numbers `(N, D)`, `nominal` categories (integers, or text) `(N, K)`. With
    `swap_probability`, an attribute of an example e and of its neighbour e' changes, in both:
    a category is swapped; e_a is drawn from the normal distribution around e'_a, and e'_a from that
    around what e_a was, both with the standard deviation |e_a - e'_a| / `local_variance`. A larger
    `local_variance` thus keeps nearer to the real numbers. Examples are visited in order in one
    copy: one that was somebody's neighbour before comes as it was left.

    Gives float64 `(copies · N, D)` and `(copies · N, K)` of nominal's dtype, in the data's units.
    Raises `DataError`: fewer than two examples, none but finite numbers allowed, parts of unequal
    length, or a parameter out of its bounds.
    """
    numbers = np.array(continuous, dtype=np.float64)
    kinds = None if nominal is None else np.array(nominal)
    _check(numbers, kinds)
    _check_bounds(copies, swap_probability, local_variance)
    neighbours = nearest_neighbours(numbers, kinds)
    rounds = []
    for stream in np.random.SeedSequence(seed).spawn(copies):
        generator = np.random.default_rng(stream)
        rounds.append(
            (
                _drawn(numbers, neighbours, swap_probability, local_variance, generator),
                None if kinds is None else _swapped(kinds, neighbours, swap_probability, generator),
            )
        )
    made = None if kinds is None else np.concatenate([kinds for _, kinds in rounds])
    return np.concatenate([numbers for numbers, _ in rounds]), made


def nearest_neighbours(numbers: np.ndarray, kinds: np.ndarray | None) -> np.ndarray:
    """Row of the nearest other example, int64 `(N,)`."""
    low, high = numbers.min(0), numbers.max(0)
    parts = [(numbers - low) / np.where(high > low, high - low, 1)]
    for column in () if kinds is None else kinds.T:
        # two different corners of the simplex are √2 apart: a category counts as one
        parts.append((column[:, None] == np.unique(column)) / np.sqrt(2))
    search = NearestNeighbors(n_neighbors=1).fit(np.concatenate(parts, axis=1))
    return search.kneighbors(return_distance=False)[:, 0]


def _drawn(
    numbers: np.ndarray,
    neighbours: np.ndarray,
    probability: float,
    variance: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Numbers after one round: of each pair, both drawn around what the other was."""
    numbers, which = numbers.copy(), generator.random(numbers.shape) < probability
    noise = generator.standard_normal((len(numbers), 2, numbers.shape[1])) / variance
    for e, partner in enumerate(neighbours):
        pair = numbers[[e, partner]]
        drawn = pair[::-1] + np.abs(pair[0] - pair[1]) * noise[e]
        numbers[[e, partner]] = np.where(which[e], drawn, pair)
    return numbers


def _swapped(
    kinds: np.ndarray, neighbours: np.ndarray, probability: float, generator: np.random.Generator
) -> np.ndarray:
    kinds, which = kinds.copy(), generator.random(kinds.shape) < probability
    for e, partner in enumerate(neighbours):
        pair = kinds[[e, partner]]
        kinds[[e, partner]] = np.where(which[e], pair[::-1], pair)
    return kinds


def _check(numbers: np.ndarray, kinds: np.ndarray | None) -> None:
    if numbers.ndim != 2 or (kinds is not None and kinds.ndim != 2):
        shapes = [numbers.shape] if kinds is None else [numbers.shape, kinds.shape]
        raise DataError(f"attributes are (examples, attributes), got the shapes {shapes}")
    if kinds is not None and len(kinds) != len(numbers):
        raise DataError(f"{len(numbers)} examples have numbers, {len(kinds)} have categories")
    if len(numbers) < 2:
        raise DataError(f"{len(numbers)} example has no neighbour; give two or more")
    if not np.isfinite(numbers).all():
        raise DataError("the numbers have gaps or infinities; fill or drop these examples")


def _check_bounds(copies: int, swap_probability: float, local_variance: float) -> None:
    if copies < 1:
        raise DataError(f"copies is {copies}; it must be 1 or more")
    if not 0 <= swap_probability <= 1:
        raise DataError(f"swap_probability is {swap_probability}; it must be between 0 and 1")
    if not local_variance > 0:
        raise DataError(f"local_variance is {local_variance}; it must be above 0")
