"""Tucker-2 and CP of filter banks: against other ways, other starts, and sums of few products."""

import pytest
import torch

from nlpcompress.models.cp import cp, product
from nlpcompress.models.tucker import mode_energies, tucker2


def filters(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(tucker):
    """By four loops' worth of sums, not by the way the code goes."""
    last, core, first = tucker
    narrow = (core.permute(0, 2, 3, 1) @ first).permute(3, 1, 2, 0)  # (in, h, w, r_out)
    return (narrow @ last.T).permute(3, 0, 1, 2)


def error(whole, near):
    return ((whole - near).norm() / whole.norm()).item()


def test_full_ranks_are_exact():
    whole = filters(12, 8, 3, 5)
    found = tucker2(whole, (12, 8))
    assert error(whole, dense(found)) < 1e-12
    for basis in (found.last, found.first.T):
        assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1]).double(), atol=1e-10)


def test_filters_made_of_few_are_found_exactly():
    last, core, first = filters(20, 4, seed=1), filters(4, 3, 3, 3, seed=2), filters(3, 16, seed=3)
    whole = torch.einsum("oa,abhw,bi->oihw", last, core, first)
    assert error(whole, dense(tucker2(whole, (4, 3)))) < 1e-10
    out, into = mode_energies(whole)
    assert int((out > 1e-9 * out[0]).sum()) == 4 and int((into > 1e-9 * into[0]).sum()) == 3


def test_energies_are_those_of_the_unfoldings():
    whole = filters(6, 5, 3, 3)
    for found, flat in zip(mode_energies(whole), (whole, whole.transpose(0, 1)), strict=True):
        values = torch.linalg.svdvals(flat.flatten(1)).square()
        assert torch.allclose(found, values, rtol=1e-9)


def test_more_ranks_err_less_and_steps_gain():
    whole = filters(16, 12, 3, 3)
    errors = [error(whole, dense(tucker2(whole, (r, r)))) for r in range(1, 13)]
    assert errors == sorted(errors, reverse=True) and len(set(errors)) == 12
    once, often = (tucker2(whole, (4, 4), steps=steps) for steps in (1, 50))
    assert error(whole, dense(often)) < error(whole, dense(once)) - 1e-4


def test_no_random_start_ends_lower_by_gradient_descent():
    whole = filters(8, 6, 3, 3)
    best = error(whole, dense(tucker2(whole, (3, 2), tolerance=1e-10)))
    ends = []
    for seed in range(4):
        parts = [filters(8, 3, seed=seed), filters(3, 2, 3, 3, seed=9), filters(2, 6, seed=8)]
        parts = [part.div(3).requires_grad_() for part in parts]
        optimizer = torch.optim.LBFGS(parts, max_iter=400, line_search_fn="strong_wolfe")

        def loss(parts=parts, optimizer=optimizer):
            optimizer.zero_grad()
            value = (whole - dense(parts)).square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        ends.append(error(whole, dense(parts)))
    assert best <= min(ends) + 1e-3


def test_sums_of_few_products_are_found():
    parts = [filters(n, 3, seed=n) for n in (10, 7, 3, 5)]
    whole = torch.einsum("or,ir,hr,wr->oihw", *parts)
    assert error(whole, product(list(cp(whole, 3, ridge=1e-9)))) < 1e-4


def test_more_terms_err_less_and_a_ridge_keeps_them_small():
    whole = filters(12, 10, 3, 3)
    errors = [error(whole, product(list(cp(whole, rank)))) for rank in (1, 4, 16, 48, 96)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.05
    assert errors[0] < 1

    # Phan et al. 2020: of rank 3, but two terms come as near as you like by growing.
    a, b = filters(4, 2, seed=1).T
    ones = torch.ones(1, dtype=torch.float64)
    swapped = [(a, a, b), (a, b, a), (b, a, a)]
    border = sum(torch.einsum("o,i,h,w->oihw", x, y, z, ones) for x, y, z in swapped)
    sizes = []
    for ridge in (1e-12, 1e-3):
        found = cp(border, 2, ridge=ridge, steps=3000, tolerance=0)
        sizes.append(max(float(factor.norm(dim=0).max()) for factor in found))
    assert sizes[0] > 1.2 * sizes[1]


def test_cp_is_the_same_every_time_and_spreads_sizes_evenly():
    whole = filters(9, 8, 3, 3)
    one, two = cp(whole, 12), cp(whole, 12)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    sizes = torch.stack([factor.norm(dim=0) for factor in one])
    assert torch.allclose(sizes, sizes[:1].expand_as(sizes), rtol=1e-9)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_step_of_cp_is_the_least_squares_solution(rank):
    """With no ridge the normal equations of the last factor hold where it ends."""
    whole = filters(5, 4, 3, 3)
    factors = [f.requires_grad_() for f in cp(whole, rank, ridge=0, steps=2000, tolerance=0)]
    loss = (whole - product(factors)).square().sum()
    loss.backward()
    assert max(float(f.grad.abs().max()) for f in factors) < 1e-3 * loss.item()
