"""The edit `fold_norms`: what a batch norm multiplies by goes into the filters before it."""

from collections.abc import Mapping

from torch import Tensor, nn

from nlpcompress.axes.norms import norms_after
from nlpcompress.errors import PlanError


def foldable(model: nn.Module, inputs: Mapping[str, Tensor]) -> Mapping[str, str]:
    """Path of each convolution → path of its norm. Raises `PlanError` when there is none."""
    found = norms_after(model, inputs)
    if not found:
        raise PlanError(
            "fold_norms: no batch norm is the only one to read a convolution in floating point"
        )
    return found
