"""GPTQ's compensation: as the optimal brain surgeon derives it, and by what it saves."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from nlpcompress.methods.quantization import compensation
from nlpcompress.methods.quantization.compensation import to_round
from nlpcompress.models.grid import Scheme, rounded
from nlpcompress.models.ranges import fitted_grid
from nlpcompress.scoring import input_moments

ROWS, COLUMNS = 6, 12


def problem(seed, bits=3, group_rows=2, group_size=4, sym=False):
    """A matrix with its grid, and moments of inputs that hang together."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, 5, generator=draw) @ torch.randn(5, COLUMNS, generator=draw)
    inputs += 0.3 * torch.randn(200, COLUMNS, generator=draw)
    matrix = torch.randn(ROWS, COLUMNS, generator=draw)
    scheme = Scheme(ROWS, COLUMNS, bits, group_rows, group_size, sym)
    moments = (inputs.T @ inputs / len(inputs)).double()
    return matrix, scheme, fitted_grid(matrix, scheme, "min_max"), moments


def compensated(matrix, scheme, grid, moments):
    """What columns that make up for each other are rounded to."""
    return rounded(to_round(matrix, scheme, grid, moments), scheme, grid)


def error(matrix, found, moments):
    """The mean square of what all outputs are off by."""
    off = (matrix - found).double()
    return float((off @ moments @ off.T).trace())


def surgeon(matrix, scheme, grid, moments):
    """Hassibi and Stork's update for each column, with the inverse of what is left taken anew."""
    values, moments = matrix.double().numpy().copy(), moments.numpy()
    damped = moments + 0.01 * np.mean(np.diag(moments)) * np.eye(len(moments))
    tile = np.ones((scheme.group_rows, scheme.group_size))
    scale, zero = (np.kron(values.double().numpy(), tile) for values in grid)
    left = list(np.argsort(-np.diag(moments), kind="stable"))
    found = np.zeros_like(values)
    while left:
        column, *rest = left
        inverse = np.linalg.inv(damped[np.ix_(left, left)])
        codes = np.clip(
            np.round(values[:, column] / scale[:, column]) + zero[:, column], 0, scheme.levels
        )
        found[:, column] = (codes - zero[:, column]) * scale[:, column]
        lost = (values[:, column] - found[:, column]) / inverse[0, 0]
        values[:, rest] -= np.outer(lost, inverse[0, 1:])
        left = rest
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sym", [False, True])
def test_every_column_moves_those_left_as_the_surgeon_does(seed, sym):
    given = problem(seed, sym=sym)
    assert np.allclose(compensated(*given).numpy(), surgeon(*given), atol=1e-5)


@pytest.mark.parametrize("width", [1, 5, 128])
def test_late_updates_change_nothing(width, monkeypatch):
    given = problem(0)
    expected = compensated(*given)
    monkeypatch.setattr(compensation, "WIDTH", width)
    assert torch.equal(compensated(*given), expected)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_less_is_lost_than_by_the_nearest_numbers_of_the_same_grid(bits):
    ratios = []
    for seed in range(10):
        matrix, scheme, grid, moments = problem(seed, bits)
        found = compensated(matrix, scheme, grid, moments)
        assert torch.equal(rounded(found, scheme, grid), found), "on the grid"
        nearest = rounded(matrix, scheme, grid)
        ratios.append(error(matrix, found, moments) / error(matrix, nearest, moments))
    assert np.median(ratios) < 0.6


def test_the_best_of_all_numbers_is_not_far():
    """All 4⁶ rows of two bits are tried: one column after the other goes most of the way there."""
    losses = torch.tensor([row_losses(seed) for seed in range(20)])
    best, found, nearest = losses.T
    assert bool((best <= found + 1e-9).all())
    assert float((nearest - found).sum()) > 0.6 * float((nearest - best).sum()) > 0


def row_losses(seed):
    """Of the best row there is, of the compensated one, of the nearest."""
    matrix, _, _, moments = problem(seed)
    row, moments = matrix[:1, :6].contiguous(), moments[:6, :6]
    scheme = Scheme(1, 6, 2, 1, 6, sym=False)
    grid = fitted_grid(row, scheme, "min_max")
    codes = torch.tensor(list(itertools.product(range(4), repeat=6))).double()
    off = row.double() - (codes - grid.zero.double()) * grid.scale.double()
    best = float(((off @ moments) * off).sum(1).min())
    both = compensated(row, scheme, grid, moments), rounded(row, scheme, grid)
    return best, *(error(row, found, moments) for found in both)


def test_inputs_that_do_not_hang_together_leave_the_nearest_numbers():
    matrix, scheme, grid, moments = problem(0)
    alone = moments.diagonal().diag()
    assert torch.equal(compensated(matrix, scheme, grid, alone), rounded(matrix, scheme, grid))


def test_a_column_that_is_never_used_is_rounded_by_itself_and_moves_nobody():
    matrix, scheme, grid, moments = problem(0)
    moments[3], moments[:, 3] = 0, 0
    found = compensated(matrix, scheme, grid, moments)
    assert torch.equal(found[:, 3], rounded(matrix, scheme, grid)[:, 3])
    other = matrix.clone()
    other[:, 3] += 0.1
    rest = [column for column in range(COLUMNS) if column != 3]
    assert torch.equal(compensated(other, scheme, grid, moments)[:, rest], found[:, rest])
    nothing = torch.zeros_like(moments)
    assert torch.equal(compensated(matrix, scheme, grid, nothing), rounded(matrix, scheme, grid))


@pytest.mark.parametrize(
    "how",
    [
        {"stride": 2, "padding": (2, 1)},
        {"stride": 2, "padding": (2, 1), "padding_mode": "reflect"},
        {"stride": 2, "padding": "valid"},
        {"padding": "same"},
    ],
    ids=["both sides", "mirrored", "none", "one side more"],
)
def test_the_windows_of_filters_are_what_they_are_multiplied_with(how):
    """|W|² in the metric of the moments is the mean square of the outputs."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, (3, 4), dilation=(2, 1), bias=False, **how)
    pictures = torch.randn(5, 3, 9, 8)
    net = nn.Sequential(layer)
    moments = input_moments(net, {"x": ["0"]}, [{"input": pictures}])["x"]
    filters = layer.weight.detach().flatten(1).double()
    expected = layer(pictures).square().mean((0, 2, 3)).double()
    assert torch.allclose((filters @ moments @ filters.T).diagonal(), expected, rtol=1e-5)
