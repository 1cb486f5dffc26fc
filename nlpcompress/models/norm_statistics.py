"""Running statistics of batch norms, found anew on examples."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nlpcompress.core.modes import eval_mode


def running_norms(model: nn.Module) -> list[_NormBase]:
    """The norms that normalise by statistics of earlier batches."""
    return [m for m in model.modules() if isinstance(m, _NormBase) and m.track_running_stats]


@torch.no_grad()
def renew_statistics(model: nn.Module, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Replace running means and variances by the plain mean over `batches`, in place.

    All norms see what those before them make of a batch by its own statistics, as in a training;
    all else is in eval mode. Batches lie where the model does. Modes and momenta are put back.
    """
    norms = running_norms(model)
    momenta = [norm.momentum for norm in norms]
    with eval_mode(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # every batch counts as much
            norm.train()
        try:
            for batch in batches:
                model(**batch)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
