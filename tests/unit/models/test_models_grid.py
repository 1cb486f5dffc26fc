"""Grids of groups against a reference that goes element by element, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from nlpcompress.errors import PlanError
from nlpcompress.models.grid import Scheme, decode, encode, rounded
from nlpcompress.models.ranges import fitted_grid

CASES = [
    (bits, rows, size, sym)
    for bits, (rows, size) in zip((2, 3, 4, 8), ((1, 4), (2, 12), (6, 3), (3, 6)), strict=True)
    for sym in (False, True)
]


def matrix(rows=6, columns=12, shift=0.0):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, columns, generator=generator) + shift


def scheme_of(bits, group_rows, group_size, sym, rows=6, columns=12):
    return Scheme(rows, columns, bits, group_rows, group_size, sym)


def by_hand(values, bits, sym):
    """Scale and zero point of one group: from its ends, zero among them, in float16."""
    low, high = min(0.0, *values), max(0.0, *values)
    if sym:
        middle = 2 ** (bits - 1)
        return np.float16(np.float32(max(-low / middle, high / (middle - 1)))), middle
    scale = np.float16(np.float32((high - low) / (2**bits - 1)))
    return scale, min(max(round(-low / float(scale)), 0), 2**bits - 1)


@pytest.mark.parametrize(("bits", "group_rows", "group_size", "sym"), CASES)
@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_every_group_has_its_own_range_and_every_number_the_nearest_step(
    bits, group_rows, group_size, sym, shift
):
    values, scheme = matrix(shift=shift), scheme_of(bits, group_rows, group_size, sym)
    grid = fitted_grid(values, scheme, "min_max")
    codes, found = encode(values, scheme, grid), rounded(values, scheme, grid)
    for row in range(6):
        for column in range(12):
            top, left = row // group_rows * group_rows, column // group_size * group_size
            group = values[top : top + group_rows, left : left + group_size]
            scale, zero = by_hand(group.flatten().tolist(), bits, sym)
            steps = [Fraction(float(scale)) * (code - zero) for code in range(2**bits)]
            value = Fraction(float(values[row, column]))
            best = min(abs(step - value) for step in steps)
            assert found[row, column] == float(steps[codes[row, column]])  # exact in float32
            assert abs(Fraction(float(found[row, column])) - value) <= best + Fraction(1, 10**6)


@pytest.mark.parametrize("kind", ["min_max", "percentile", "mse"])
@pytest.mark.parametrize(("bits", "group_rows", "group_size", "sym"), CASES)
def test_what_was_decoded_is_coded_again_to_the_same(bits, group_rows, group_size, sym, kind):
    values, scheme = matrix(), scheme_of(bits, group_rows, group_size, sym)
    grid = fitted_grid(values, scheme, kind)
    codes = encode(values, scheme, grid)
    assert torch.equal(encode(decode(codes, scheme, grid), scheme, grid), codes)


@pytest.mark.parametrize("kind", ["min_max", "percentile", "mse"])
@pytest.mark.parametrize("sym", [False, True])
def test_zeros_stay_zeros(kind, sym):
    values, scheme = matrix(shift=3.0), scheme_of(3, 1, 6, sym)
    values[:, ::4] = 0
    found = rounded(values, scheme, fitted_grid(values, scheme, kind))
    assert bool((found[:, ::4] == 0).all())


def test_a_group_of_zeros_is_zero():
    scheme = scheme_of(4, 1, 12, False)
    values = torch.zeros(6, 12)
    assert torch.equal(rounded(values, scheme, fitted_grid(values, scheme, "min_max")), values)


def test_mse_is_the_best_of_the_shrunken_ranges_by_brute_force():
    values, scheme = matrix(1, 256), Scheme(1, 256, 3, 1, 256, False)
    found = float((rounded(values, scheme, fitted_grid(values, scheme, "mse")) - values).norm())
    low, high = float(values.min()), float(values.max())
    tried = []
    for step in range(33):
        shrink = 1 - step / 40
        scale = float(np.float16((high - low) * shrink / 7))
        zero = round(-low * shrink / scale)
        codes = (values / scale).round().add(zero).clamp(0, 7)
        tried.append(float(((codes - zero) * scale - values).norm()))
    assert found == pytest.approx(min(tried), rel=1e-5)
    assert found < 0.9 * tried[0]  # and shrinking was worth it


def test_percentiles_leave_outliers_out():
    values, scheme = matrix(1, 4000), Scheme(1, 4000, 4, 1, 4000, False)
    values[0, 0], values[0, 1] = 100.0, -100.0
    scale = float(fitted_grid(values, scheme, "percentile").scale)
    ends = np.sort(values.numpy()[0])[[4, -5]]
    assert scale == pytest.approx((ends[1] - ends[0]) / 15, rel=1e-3)


@pytest.mark.parametrize(
    ("value", "message"),
    [(float("nan"), "not finite"), (float("inf"), "not finite"), (1e9, "beyond float16")],
)
def test_what_no_grid_can_hold_is_refused(value, message):
    values = matrix()
    values[2, 3] = value
    with pytest.raises(PlanError, match=message):
        fitted_grid(values, scheme_of(4, 1, 12, False), "min_max")
