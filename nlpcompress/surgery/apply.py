"""Applies a whole plan, or nothing of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from nlpcompress.axes import find_axes
from nlpcompress.core.edits import Edit, Keep, KeepLayers, Mask, ShareLayers
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.models.examples import example_inputs as make_examples
from nlpcompress.models.record import record_structure
from nlpcompress.models.zeros import note_zeros
from nlpcompress.surgery.keep import check_keeps, cut, kept_masks, zeroed
from nlpcompress.surgery.keep_layers import bypassed, check_layers, cut_layers
from nlpcompress.surgery.share_layers import check_shared, share, with_shared_values
from nlpcompress.surgery.snapshot import put_back_on_error
from nlpcompress.surgery.verify import verified


def apply_plan(
    model: nn.Module,
    plan: Plan | Sequence[Mapping[str, Any]],
    example_inputs: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Cut `model` as the plan says, in place, and return it.

    After each group of edits the cut model must compute what the masked one computes on
    `example_inputs` (made from the config by default); after the last one the config is made to say
    the new shapes, so that the model's own `save_pretrained` writes a folder that reloads. Cut
    tensors become new parameters: an optimizer over the old ones must be made anew. On any error
    the model is exactly as it was before the call.

    Raises `PlanError` or `AxisError` for a plan that does not fit the model, `VerificationError`
    when the results differ, `FormatError` when the cut model could not be saved.
    """
    plan = plan if isinstance(plan, Plan) else plan_from_json(plan)
    inputs = (
        make_examples(model) if example_inputs is None else _on_device_of(model, example_inputs)
    )
    with put_back_on_error(model):
        for group in groups(plan):
            _apply(model, group, inputs)
        if isinstance(model, PreTrainedModel) and len(plan):
            record_structure(model)
    return model


def _on_device_of(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    device = next(model.parameters()).device
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def groups(plan: Plan) -> Iterator[list[Edit]]:
    """Consecutive keeps on different axes go together: one analysis and one check serves all."""
    group: list[Edit] = []
    for edit in plan:
        if group and not _joins(edit, group):
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _joins(edit: Edit, group: list[Edit]) -> bool:
    return isinstance(edit, Keep) and all(
        isinstance(e, Keep) and e.axis != edit.axis for e in group
    )


def _apply(model: nn.Module, group: list[Edit], inputs: Mapping[str, Tensor]) -> None:
    first = group[0]
    if isinstance(first, Mask):
        note_zeros(model)
        return
    if isinstance(first, KeepLayers):
        check_layers(model, first.layers)
        with verified(model, inputs, what="keep_layers", reference=bypassed(model, first.layers)):
            cut_layers(model, first.layers)
        return
    if isinstance(first, ShareLayers):
        check_shared(model, first)
        reference = with_shared_values(model, first)
        with verified(model, inputs, what="share_layers", reference=reference):
            share(model, first)
        return
    axes = find_axes(model, inputs)
    check_keeps(axes, group)
    masks = kept_masks(model, axes, group)
    names = ", ".join(edit.axis for edit in group)
    with verified(model, inputs, what=names, reference=zeroed(model, masks)):
        cut(model, masks)
