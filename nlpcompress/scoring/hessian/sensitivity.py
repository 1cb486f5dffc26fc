"""Sensitivity of blocks: eigenvalues or traces of their Hessians on several parts of the data."""

import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accelerate import PartialState
from accelerate.utils import gather_object
from torch import nn
from tqdm.auto import tqdm
from transformers.utils.logging import is_progress_bar_enabled

from nlpcompress.scoring.hessian.products import Batch, BlockHessians
from nlpcompress.scoring.hessian.spectrum import top_eigenvalues, traces

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
    Differs: Lanczos instead of power iteration, which finds the same value in fewer products. Each
    run begins at random vectors: the ones that another found can miss a greater eigenvalue.
    """
    how = how or Runs()
    found: dict[int, dict[str, float]] = {}
    for run in _with_bar(_own_runs(how.count) if shared else range(how.count)):
        found[run] = _values(BlockHessians(model, blocks, batches_of_run(run)), how, run)
    if shared:
        found = dict(pair for own in gather_object([found]) for pair in own.items())
    return {
        block: Sensitivity(tuple(found[run][block] for run in range(how.count)), how.kind)
        for block in blocks
    }


def _own_runs(count: int) -> range:
    """Of this process."""
    state = PartialState()
    return range(state.process_index, count, state.num_processes)


def _with_bar(runs: range) -> tqdm:
    """Seen where there is a terminal, unless progress bars of transformers are off."""
    hidden = None if is_progress_bar_enabled() and 0 in runs else True
    return tqdm(runs, desc="sensitivities", unit="run", disable=hidden, leave=False)


def _values(hessians: BlockHessians, how: Runs, run: int) -> dict[str, float]:
    seed = how.seed + run
    with hessians.opened():
        if how.kind == "eigenvalue":
            values = _greatest(hessians, tolerance=how.tolerance, seed=seed)
        else:
            sizes = hessians.sizes
            found = traces(hessians, draws=how.draws, seed=seed)
            values = {block: trace.mean / sizes[block] for block, trace in found.items()}
        if run == 0:
            exact = how.kind == "eigenvalue"
            _warn_if_moving(hessians, values if exact else _greatest(hessians, steps=FEW_STEPS))
    return values


def _greatest(
    hessians: BlockHessians, *, tolerance: float = 0.1, steps: int = 100, seed: int = 0
) -> dict[str, float]:
    found = top_eigenvalues(hessians, tolerance=tolerance, most_steps=steps, seed=seed)
    return {block: float(value) for block, (value,) in found.items()}


def _warn_if_moving(hessians: BlockHessians, eigenvalues: Mapping[str, float]) -> None:
    """One step of gradient descent in a block promises |g|² / 2λ."""
    norms, loss = hessians.gradient_norms(), hessians.loss()
    promised = sum(
        norm**2 / (2 * max(abs(eigenvalues[block]), 1e-12)) for block, norm in norms.items()
    )
    if promised > max(OF_THE_LOSS * loss, AT_ALL):
        warnings.warn(
            f"the gradient promises to lower the loss of {loss:.3g} by {promised:.2g} in one step: "
            "the model has not converged, and its Hessian tells little; train it to its end first",
            stacklevel=4,
        )
