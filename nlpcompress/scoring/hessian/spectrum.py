"""Eigenvalues, traces and densities of the Hessian's blocks."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nlpcompress.scoring.hessian.lanczos import Lanczos
from nlpcompress.scoring.hessian.products import BlockHessians


def top_eigenvalues(
    hessians: BlockHessians,
    *,
    count: int = 1,
    tolerance: float = 1e-2,
    most_steps: int = 100,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Each block's `count` eigenvalues of the greatest absolute value, with their signs, float64.

    Eigenvalues that are equal count once. A block is done when the error of each is at most
    `tolerance` of the greatest and no other can be greater, and costs nothing from then on; after
    `most_steps` products in any case. All blocks share the passes over the data. Called between
    `hessians.opened()` and its end.
    """
    generator = torch.Generator().manual_seed(seed)
    runs = {
        block: Lanczos(start, reorthogonalise=count > 1)
        for block, start in hessians.random_vectors(generator).items()
    }
    active = dict(runs)
    for _ in range(most_steps):
        products = hessians.times({block: run.vector for block, run in active.items()})
        for block, run in list(active.items()):
            run.take(products[block])
            if _found(run, count, tolerance):
                del active[block]
        if not active:
            break
    return {block: run.ritz().values[:count] for block, run in runs.items()}


def _found(run: Lanczos, count: int, tolerance: float) -> bool:
    if run.exhausted or run.steps <= count:
        return run.exhausted
    found = run.ritz()
    sizes, slack = found.values.abs(), tolerance * found.values[0].abs()
    others = (sizes + found.residuals)[count:].max()
    return bool((found.bounds[:count] <= slack).all() and others <= sizes[count - 1] + slack)


@dataclass(frozen=True)
class Estimate:
    """A mean over random draws, and its standard error."""

    mean: float
    error: float


def traces(hessians: BlockHessians, *, draws: int = 30, seed: int = 0) -> dict[str, Estimate]:
    """Each block's trace: the mean of vᵀHv over random signs v (Hutchinson 1990)."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[float]] = {block: [] for block in hessians.sizes}
    for _ in range(draws):
        signs = {
            block: vector.sign() for block, vector in hessians.random_vectors(generator).items()
        }
        for block, product in hessians.times(signs).items():
            found[block].append(float(product @ signs[block]))
    return {block: _estimate(values) for block, values in found.items()}


def _estimate(values: list[float]) -> Estimate:
    draws = torch.tensor(values, dtype=torch.float64)
    error = float(draws.std() / len(values) ** 0.5) if len(values) > 1 else float("inf")
    return Estimate(float(draws.mean()), error)


def spectral_nodes(
    hessians: BlockHessians, *, steps: int = 30, draws: int = 1, seed: int = 0
) -> dict[str, tuple[Tensor, Tensor]]:
    """Each block's spectrum as points and the share of all eigenvalues near each: float64 pairs.

    Shares sum to 1. Source: stochastic Lanczos quadrature, as Ghorbani, Krishnan and Xiao 2019 use
    it for Hessians.
    """
    generator = torch.Generator().manual_seed(seed)
    points: dict[str, list[tuple[Tensor, Tensor]]] = {block: [] for block in hessians.sizes}
    for _ in range(draws):
        runs = {
            block: Lanczos(start, reorthogonalise=True)
            for block, start in hessians.random_vectors(generator).items()
        }
        _run(hessians, runs, steps)
        for block, run in runs.items():
            found = run.ritz()
            points[block].append((found.values, found.shares / draws))
    return {
        block: (torch.cat([v for v, _ in own]), torch.cat([s for _, s in own]))
        for block, own in points.items()
    }


def _run(hessians: BlockHessians, runs: Mapping[str, Lanczos], steps: int) -> None:
    for _ in range(steps):
        active = {block: run for block, run in runs.items() if not run.exhausted}
        if not active:
            return
        products = hessians.times({block: run.vector for block, run in active.items()})
        for block, run in active.items():
            run.take(products[block])
