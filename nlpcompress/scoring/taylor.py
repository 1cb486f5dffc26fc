"""Scores by a first-order Taylor expansion: the loss's derivative by a gate on each position.

For heads this is Michel's head importance, for channels Molchanov's filter importance, for neurons
the same on the feed-forward units: one function, because all of them are positions of an axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from nlpcompress.errors import AxisError, DataError
from nlpcompress.scoring.examples import (
    batch_size,
    example_scales,
    labelled_loss,
    on_device_of,
    shifts_labels,
)
from nlpcompress.scoring.gates import AxisGates, gated
from nlpcompress.scoring.trace import no_trace

if TYPE_CHECKING:
    from nlpcompress.axes import Axis

Granularity = Literal["example", "token", "batch"]
Batch = Mapping[str, Tensor]


def taylor_scores(
    model: nn.Module,
    axes: Sequence[Axis],
    batches: Iterable[Batch],
    *,
    granularity: Granularity = "example",
    normalize: bool = False,
    dropped: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """Mean over the examples of |∂L/∂ξ|, ξ = 1 a gate on each position: axis name → `(size,)`.

    `batches` hold labels, so that the model returns its loss, a mean over the batch; the mean is
    undone, and a score does not depend on how examples are batched (except for `batch`). One
    backward pass a batch gives the scores of all axes, exactly, under any attention implementation.

    `granularity` says where the absolute value is taken:
    - `example`: of each example's gradient (the papers' definition);
    - `token`: of each token's, or place's of a feature map, then summed over an example's tokens
      (the official code of Michel et al.); never below `example`;
    - `batch`: of the sum over a batch (`run_bertology.py`): examples may cancel each other.

    `normalize` divides each axis' scores by their L2 norm. Positions in `dropped` (axis name →
    indices) are switched off while scoring, and score 0. Scores are on the CPU, at least float32.

    Raises `DataError` without batches or labels, `AxisError` for axes that no gate can be put on.

    Source: Michel et al. 2019, section 4.1, I_h = E_x |∂L(x)/∂ξ_h|. Molchanov et al. 2017, equation
    8, of which this is the same number: ∂L/∂ξ = Σ ∂L/∂z · z over what the gate multiplies.
    Differs: Michel's `head_importance` code divides by tokens, in the last layer by examples;
    here a score is always a mean over examples. Molchanov averages over places, here they add up.
    """
    gates = [
        AxisGates(axis, per_token=granularity == "token", dropped=dropped.get(axis.name, ()))
        for axis in axes
    ]
    if not gates:
        return {}
    with no_trace(model), gated(model, gates), torch.enable_grad():
        scores = _mean_over_batches(model, gates, batches, together=granularity == "batch")
    for gate in gates:
        scores[gate.axis.name][gate.dropped] = 0
    return {name: _unit(score) if normalize else score for name, score in scores.items()}


def _mean_over_batches(
    model: nn.Module, gates: Sequence[AxisGates], batches: Iterable[Batch], *, together: bool
) -> dict[str, Tensor]:
    shifted = shifts_labels(model)
    totals: dict[str, Tensor] = {}
    examples = torch.zeros((), device=next(model.parameters()).device)
    for batch in batches:
        here = on_device_of(model, batch)
        scales = example_scales(here, shifted=shifted)
        for name, gradient in _gradients(model, gates, here).items():
            own = gradient.to(torch.promote_types(gradient.dtype, torch.float32)) * scales[:, None]
            total = own.sum(0).abs() if together else own.abs().sum(0)
            totals[name] = totals[name] + total if name in totals else total
        examples += (scales > 0).sum()
    if not totals:
        raise DataError("no batches to score with: the data set is empty; give at least one batch")
    return {name: (total / examples.clamp(min=1)).cpu() for name, total in totals.items()}


def _gradients(model: nn.Module, gates: Sequence[AxisGates], batch: Batch) -> dict[str, Tensor]:
    """∂(batch loss)/∂gate as `(B, size)` of every axis."""
    for gate in gates:
        gate.start(batch_size(batch))
    loss = labelled_loss(model, batch)
    met = [tensor for gate in gates for tensor in gate.gates]
    unmet = [gate.axis.name for gate in gates if not gate.gates]
    if unmet:
        raise AxisError(
            f"the model ran without calling any layer that carries {', '.join(unmet)}; "
            "find the axes with inputs like the batches that are scored"
        )
    # Gates that do not reach the loss (a pooler that nothing reads) have a gradient of zero.
    found = iter(torch.autograd.grad(loss, met, allow_unused=True, materialize_grads=True))
    return {gate.axis.name: gate.per_example([next(found) for _ in gate.gates]) for gate in gates}


def _unit(scores: Tensor) -> Tensor:
    return scores / scores.norm().clamp(min=torch.finfo(scores.dtype).tiny)
