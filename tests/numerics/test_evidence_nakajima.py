"""Ranks by variational Bayes: of made matrices, and by the free energy on a grid."""

import numpy as np
import pytest
import torch

from nlpcompress.scoring import evidence_rank
from nlpcompress.scoring.evidence import _border, _free_energy


def energies(matrix):
    return torch.linalg.svdvals(matrix).square()


def made(rows, columns, rank, *, noise, seed=0):
    draw = torch.Generator().manual_seed(seed)
    signal = torch.randn(rows, rank, generator=draw) @ torch.randn(rank, columns, generator=draw)
    return signal + noise * torch.randn(rows, columns, generator=draw)


@pytest.mark.parametrize(("rows", "columns"), [(40, 40), (30, 90), (90, 30), (16, 400)])
@pytest.mark.parametrize("rank", [1, 4, 9])
def test_the_rank_of_what_was_made_is_found(rows, columns, rank):
    for noise in (0.1, 0.5, 1.0):
        matrix = made(rows, columns, rank, noise=noise)
        assert evidence_rank(energies(matrix), rows, columns) == rank


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_noise_alone_has_none_at_any_scale(scale):
    ranks = [
        evidence_rank(energies(scale * made(50, 80, 1, noise=1.0, seed=s)), 50, 80) for s in (1, 2)
    ]
    assert ranks == [1, 1]
    noise = torch.randn(50, 80, generator=torch.Generator().manual_seed(0))
    assert evidence_rank(energies(scale * noise), 50, 80) == 0
    assert evidence_rank(torch.zeros(50), 50, 80) == 0


def test_what_drowns_in_noise_is_not_counted():
    """Of ten directions, those below the strength of the noise's own singular values are gone."""
    draw = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(60, 10, generator=draw))
    right, _ = torch.linalg.qr(torch.randn(120, 10, generator=draw))
    sizes = torch.tensor([200.0, 100, 60, 50, 40, 4, 3, 2, 1, 0.5])
    noise = torch.randn(60, 120, generator=draw)
    matrix = left * sizes @ right.T + noise
    assert evidence_rank(energies(matrix), 60, 120) == 5
    assert evidence_rank(energies(left * sizes @ right.T + 1e-3 * noise), 60, 120) == 10


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.1, 0.01])
def test_the_border_is_where_keeping_a_direction_gains_nothing(alpha):
    tau = 2.5129 * alpha**0.5
    assert _border(alpha) == pytest.approx((1 + tau) * (1 + alpha / tau), rel=0.025)
    assert _border(1.0) == pytest.approx((1 + 2.5129) * (1 + 1 / 2.5129), rel=1e-4)
    below, above = (np.array([_border(alpha) * (1 + d)]) for d in (-1e-7, 1e-7))
    ends = [_free_energy(x, alpha, _border(alpha)) for x in (below, above)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_noise_is_where_the_posterior_says(seed):
    """The free energy of the paper's equation, by its own terms, on a grid of variances."""
    rows, columns = 25, 60
    squares = energies(made(rows, columns, 5, noise=2.0, seed=seed)).double().numpy()
    alpha = rows / columns

    def free_energy(variance):
        total = 0.0
        for square in squares:
            x = square / (columns * variance)
            root = x - (1 + alpha)
            inside = root**2 - 4 * alpha
            tau = 0.5 * (root + np.sqrt(inside)) if inside > 0 and root > 0 else 0.0
            kept = x > (1 + 2.5129 * alpha**0.5) * (1 + alpha / (2.5129 * alpha**0.5))
            total += x - np.log(x)
            if kept:
                total += np.log(tau + 1) + alpha * np.log(tau / alpha + 1) - tau
        return total

    grid = np.geomspace(0.5, 40, 4000)
    best = grid[np.argmin([free_energy(v) for v in grid])]
    assert best == pytest.approx(4.0, rel=0.15), "the noise's variance"
    border = (1 + 2.5129 * alpha**0.5) * (1 + alpha / (2.5129 * alpha**0.5))
    expected = int((squares > columns * best * border).sum())
    assert evidence_rank(torch.from_numpy(squares), rows, columns) == expected >= 4
