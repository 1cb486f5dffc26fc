"""What has one number of bits, how sensitive it is, and what each choice costs there."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from nlpcompress.errors import PlanError
from nlpcompress.methods.quantization.places import stored_bits
from nlpcompress.models.grid import Scheme, rounded
from nlpcompress.models.ranges import Range, fitted_grid
from nlpcompress.scoring.hessian import Runs, blocks_of, sensitivities, stored_sensitivities
from nlpcompress.scoring.hessian.products import Batch
from nlpcompress.search import Choice

Blocks = dict[str, list[str]]
"""Name of each block → names of its weights."""


def blocks_by(model: nn.Module, by: str | None, places: Iterable[str]) -> Blocks:
    """The blocks of the Hessian that hold `places`; what lies in none is a block of its own.

    `by` None: layers where the model has one stack of them, else matrices. Raises `PlanError` for
    layers where there is no such stack.
    """
    wanted = dict.fromkeys(places)
    named = _named_blocks(model, by)
    blocks = {block: [n for n in names if n in wanted] for block, names in named.items()}
    inside = set(chain.from_iterable(blocks.values()))
    alone = {name: [name] for name in wanted if name not in inside}
    return {block: names for block, names in blocks.items() if names} | alone


def omegas(
    model: nn.Module,
    blocks: Blocks,
    batches: Sequence[Batch],
    runs: Runs,
    *,
    shared: bool = False,
    cache: Path | None = None,
) -> dict[str, float]:
    """Ω of each block, on as many parts of the batches; with too few they repeat.

    With `shared` processes take turns over the runs, and all must call this. With the folder
    `cache` what it says is taken, or stored there.
    """
    share = max(1, len(batches) // runs.count)

    def of_run(run: int) -> Sequence[Batch]:
        start = run * share % len(batches)
        return batches[start : start + share]

    if cache is None:
        found = sensitivities(model, blocks, of_run, runs, shared=shared)
    else:
        found = stored_sensitivities(cache, model, blocks, of_run, runs, shared=shared)
    return {block: sensitivity.omega for block, sensitivity in found.items()}


def choices(weights: Sequence[tuple[Tensor, Sequence[Scheme]]], kind: Range) -> list[Choice]:
    """A block's size and squared rounding error, for each of the schemes that its weights have.

    Each weight comes as its matrix, with as many schemes as there are choices, of like bits.
    """
    made = []
    for schemes in zip(*(own for _, own in weights), strict=True):
        errors = [
            _squared_error(matrix, scheme, kind)
            for (matrix, _), scheme in zip(weights, schemes, strict=True)
        ]
        size = sum(stored_bits(scheme) for scheme in schemes)
        made.append(Choice(schemes[0].bits, size, sum(errors)))
    return made


def _named_blocks(model: nn.Module, by: str | None) -> dict[str, tuple[str, ...]]:
    if by == "matrices":
        return blocks_of(model, "matrices")
    try:
        return blocks_of(model, "layers")
    except PlanError:
        if by == "layers":
            raise
        return blocks_of(model, "matrices")


@torch.no_grad()
def _squared_error(matrix: Tensor, scheme: Scheme, kind: Range) -> float:
    """‖ΔW‖²."""
    found = rounded(matrix, scheme, fitted_grid(matrix, scheme, kind))
    return float((found - matrix).square().sum())
