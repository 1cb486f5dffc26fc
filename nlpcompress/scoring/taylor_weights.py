"""Scores by a first-order Taylor expansion in the weights: what the loss gains without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nlpcompress.errors import DataError
from nlpcompress.scoring.examples import labelled_loss, on_device_of
from nlpcompress.scoring.positions import by_position
from nlpcompress.scoring.trace import no_trace

if TYPE_CHECKING:
    from nlpcompress.axes import Axis


def taylor_weight_scores(
    model: nn.Module, axes: Sequence[Axis], batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Axis name → mean over batches of Σ (g · w)² over tensors, g · w summed over the position.

    `batches` hold labels. Scores are float32 `(size,)` on the CPU. Raises `DataError` without
    batches, or where the model returns no loss.

    Source: Molchanov et al. 2019, equation 8: the squared change of the loss by a filter's weights.
    Differs: the sum runs over all tensors that are cut together, biases and norms too, each squared
    by itself.
    """
    parameters = dict(model.named_parameters())
    names = list(dict.fromkeys(p.tensor for a in axes for p in a.slices if p.tensor in parameters))
    totals = {axis.name: torch.zeros(axis.size) for axis in axes}
    count = 0
    with no_trace(model), torch.enable_grad():
        weights = [parameters[name].requires_grad_() for name in names]
        for batch in batches:
            loss = labelled_loss(model, on_device_of(model, batch))
            found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            products = {n: g * w.detach() for n, g, w in zip(names, found, weights, strict=True)}
            for axis in axes:
                totals[axis.name] += _squares(axis, products).cpu()
            count += 1
    if not count:
        raise DataError("no batches to score with: the data set is empty; give at least one batch")
    return {name: total / count for name, total in totals.items()}


def _squares(axis: Axis, products: Mapping[str, Tensor]) -> Tensor:
    parts = [part for part in axis.slices if part.tensor in products]
    sums = [by_position(products[p.tensor], p, axis.size).sum(1).float() for p in parts]
    return torch.stack(sums).square().sum(0)
