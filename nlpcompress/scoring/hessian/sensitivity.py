"""Sensitivity of blocks: eigenvalues or traces of their Hessians on several parts of the data."""

import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers.utils.logging import is_progress_bar_enabled

from nlpcompress.scoring.hessian.products import Batch, BlockHessians
from nlpcompress.scoring.hessian.spectrum import top_eigenpairs, top_eigenvalues, traces

Kind = Literal["eigenvalue", "trace"]
OF_THE_LOSS, AT_ALL = 0.1, 0.01
"""What one more step may promise where training has ended: either is little enough."""
FEW_STEPS = 5
"""Of Lanczos, for an eigenvalue that only has to be about right."""


@dataclass(frozen=True)
class Runs:
    """By what sensitivities are told, on how many parts of the data, and how exactly.

    `tolerance` is the error of eigenvalues, `draws` are the random vectors of each trace.
    """

    count: int = 10
    kind: Kind = "eigenvalue"
    tolerance: float = 1e-2
    draws: int = 30
    seed: int = 0


@dataclass(frozen=True)
class Sensitivity:
    """A block's greatest eigenvalue, or its trace by its size, in each run, signs included."""

    values: tuple[float, ...]
    kind: Kind = "eigenvalue"

    @property
    def omega(self) -> float:
        """Ω = |mean λ| + std λ over the runs (the population's; 0 for one run), or |mean trace|."""
        mean = abs(statistics.mean(self.values))
        return mean + statistics.pstdev(self.values) if self.kind == "eigenvalue" else mean


def sensitivities(
    model: nn.Module,
    blocks: Mapping[str, Sequence[str]],
    batches_of_run: Callable[[int], Sequence[Batch]],
    how: Runs | None = None,
    *,
    shared: bool = False,
) -> dict[str, Sensitivity]:
    """Name of each block → its sensitivity; `batches_of_run(0)`, … are the parts of the data.

    A small one says that the loss is flat there, so that weights may be rounded coarsely. Warns
    when the gradient says that training has not converged, where it means little. With `shared`
    all processes must call this, with the same model and data: each takes some of the runs, and
    all get what one alone would. Raises as `BlockHessians` does.

    Source: Shen et al. 2020 (Q-BERT), section 3.1: eigenvalues of ten runs on 10 % of the data
    each; Dong et al. 2020 (HAWQ-V2), section 3.1: traces by sizes.
    Differs: Lanczos instead of power iteration, and later runs begin at the first one's vectors:
    both find the same value in fewer products.
    """
    how = how or Runs()
    found: dict[int, dict[str, float]] = {}
    starts: dict[str, Tensor] | None = None
    for run in _with_bar(_own_runs(how) if shared else range(how.count)):
        hessians = BlockHessians(model, blocks, batches_of_run(run))
        with hessians.opened():
            if how.kind == "trace":
                found[run] = _mean_traces(hessians, how, run)
            else:
                found[run], vectors = _eigenpairs(hessians, how, starts)
                starts = starts or vectors
            if run == 0:
                _warn_if_moving(hessians, found[run] if how.kind == "eigenvalue" else None)
    if shared:
        found = dict(pair for own in gather_object([found]) for pair in own.items())
    return {
        block: Sensitivity(tuple(found[run][block] for run in range(how.count)), how.kind)
        for block in blocks
    }


def _own_runs(how: Runs) -> Sequence[int]:
    """Of this process; all of them need the first run's vectors."""
    state = PartialState()
    own = range(state.process_index, how.count, state.num_processes)
    return own if how.kind == "trace" or 0 in own else [0, *own]


def _with_bar(runs: Sequence[int]) -> tqdm:
    """Seen where there is a terminal, unless progress bars of transformers are off."""
    hidden = None if is_progress_bar_enabled() and PartialState().is_main_process else True
    return tqdm(runs, desc="sensitivities", unit="run", disable=hidden, leave=False)


def _eigenpairs(
    hessians: BlockHessians, how: Runs, starts: Mapping[str, Tensor] | None
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """From random vectors where there are no others."""
    if starts is None:
        starts = hessians.random_vectors(torch.Generator().manual_seed(how.seed))
    return top_eigenpairs(hessians, starts, tolerance=how.tolerance)


def _mean_traces(hessians: BlockHessians, how: Runs, run: int) -> dict[str, float]:
    """Traces by the blocks' sizes."""
    found = traces(hessians, draws=how.draws, seed=how.seed + run)
    return {block: found[block].mean / size for block, size in hessians.sizes.items()}


def _warn_if_moving(hessians: BlockHessians, eigenvalues: Mapping[str, float] | None) -> None:
    """One step of gradient descent in a block promises |g|² / 2λ."""
    if eigenvalues is None:
        about = top_eigenvalues(hessians, tolerance=0.1, most_steps=FEW_STEPS)
        eigenvalues = {block: float(value) for block, (value,) in about.items()}
    norms, loss = hessians.gradient_norms(), hessians.loss()
    promised = sum(
        norm**2 / (2 * max(abs(eigenvalues[block]), 1e-12)) for block, norm in norms.items()
    )
    if promised > max(OF_THE_LOSS * loss, AT_ALL):
        warnings.warn(
            f"the gradient promises to lower the loss of {loss:.3g} by {promised:.2g} in one step: "
            "the model has not converged, and its Hessian tells little; train it to its end first",
            stacklevel=3,
        )
