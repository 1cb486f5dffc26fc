"""Q-BERT's sensitivity of blocks: their greatest eigenvalues on several parts of the data."""

import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nlpcompress.scoring.hessian.products import Batch, BlockHessians
from nlpcompress.scoring.hessian.spectrum import top_eigenvalues

OF_THE_LOSS, AT_ALL = 0.1, 0.01
"""What one more step may promise where training has ended: either is little enough."""


@dataclass(frozen=True)
class Sensitivity:
    """A block's greatest eigenvalue in each run, signs included."""

    eigenvalues: tuple[float, ...]

    @property
    def omega(self) -> float:
        """Ω = |mean λ| + std λ over the runs (the population's; 0 for one run)."""
        return abs(statistics.mean(self.eigenvalues)) + statistics.pstdev(self.eigenvalues)


def sensitivities(
    model: nn.Module,
    blocks: Mapping[str, Sequence[str]],
    batches_of_run: Callable[[int], Sequence[Batch]],
    *,
    runs: int = 10,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> dict[str, Sensitivity]:
    """Name of each block → its sensitivity; `batches_of_run(0)`, … are the parts of the data.

    A small one says that the loss is flat there, so that weights may be rounded coarsely. Warns
    when the gradient says that training has not converged, where eigenvalues mean little. Raises
    as `BlockHessians` does.

    Source: Shen et al. 2020 (Q-BERT), section 3.1: ten runs on 10 % of the data each.
    Differs: Lanczos instead of power iteration, which finds the same value in fewer products.
    """
    found: dict[str, list[float]] = {block: [] for block in blocks}
    for run in range(runs):
        hessians = BlockHessians(model, blocks, batches_of_run(run))
        with hessians.opened():
            values = top_eigenvalues(hessians, tolerance=tolerance, seed=seed + run)
            if run == 0:
                _warn_if_moving(hessians, values)
        for block, (value,) in values.items():
            found[block].append(float(value))
    return {block: Sensitivity(tuple(values)) for block, values in found.items()}


def _warn_if_moving(hessians: BlockHessians, values: Mapping[str, Tensor]) -> None:
    """One step of gradient descent in a block promises |g|² / 2λ."""
    norms, loss = hessians.gradient_norms(), hessians.loss()
    promised = sum(
        norm**2 / (2 * max(abs(float(values[block][0])), 1e-12)) for block, norm in norms.items()
    )
    if promised > max(OF_THE_LOSS * loss, AT_ALL):
        warnings.warn(
            f"the gradient promises to lower the loss of {loss:.3g} by {promised:.2g} in one step: "
            "the model has not converged, and eigenvalues tell little; train it to its end first",
            stacklevel=3,
        )
