"""The edit `permute`: the positions of an axis in another order, in every tensor that shares it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlpcompress.axes import Axes
from nlpcompress.core.edits import Permute
from nlpcompress.errors import AxisError, PlanError
from nlpcompress.models.structure import named_tensors, replace_tensors
from nlpcompress.surgery.keep import like


def check_orders(axes: Axes, edits: Sequence[Permute]) -> None:
    """Raises `UnknownNameError`, `AxisError` for a frozen axis, `PlanError` for another size."""
    for edit in edits:
        axis = axes[edit.axis]
        if axis.frozen:
            raise AxisError(f"the axis '{axis.name}' cannot be put in order: {axis.frozen}")
        if len(edit.order) != axis.size:
            raise PlanError(
                f"the axis '{axis.name}' has {axis.size} positions at this point of the plan, the "
                f"order has {len(edit.order)}"
            )


def permute(model: nn.Module, axes: Axes, edits: Sequence[Permute]) -> None:
    """Select each tensor's positions anew; nothing else of the model changes."""
    tensors = named_tensors(model)
    ordered: dict[str, Tensor] = {}
    for edit in edits:
        axis, order = axes[edit.axis], torch.tensor(edit.order)
        for name, dim, before, after in axis.slices:
            places = torch.arange(before * axis.size * after).reshape(before, axis.size, after)
            tensor = ordered.get(name, tensors[name].detach())
            ordered[name] = tensor.index_select(dim, places[:, order].flatten().to(tensor.device))
    replaced = {id(tensors[name]): like(tensors[name], new) for name, new in ordered.items()}
    replace_tensors(model, replaced)
