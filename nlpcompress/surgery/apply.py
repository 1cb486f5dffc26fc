"""Applies a whole plan, or nothing of it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlpcompress.axes import find_axes
from nlpcompress.core.edits import (
    CpConv,
    Edit,
    FactorEmbedding,
    FoldNorms,
    Keep,
    KeepLayers,
    KeepOperations,
    KeepVocabulary,
    LowRank,
    Mask,
    Permute,
    Quantize,
    ShareLayers,
    SvdConv,
    TuckerConv,
)
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import VerificationError
from nlpcompress.models.examples import example_inputs as make_examples
from nlpcompress.models.folding import fold
from nlpcompress.models.halves import batch_in_double, batch_in_float32, in_double, in_float32
from nlpcompress.models.record import record_structure
from nlpcompress.models.zeros import note_zeros
from nlpcompress.surgery.filters import decompose, decomposed, with_products
from nlpcompress.surgery.fold_norms import foldable
from nlpcompress.surgery.keep import check_keeps, cut, kept_masks, zeroed
from nlpcompress.surgery.keep_layers import bypassed, check_layers, cut_layers
from nlpcompress.surgery.keep_operations import check_operations, cut_operations, only_operations
from nlpcompress.surgery.keep_vocabulary import (
    cut_vocabulary,
    numbered_anew,
    vocabulary_masks,
    with_old_numbers,
)
from nlpcompress.surgery.low_rank import factor, factored, truncated
from nlpcompress.surgery.permute import check_orders, permute
from nlpcompress.surgery.quantize import quantize, roundings, with_rounded_values
from nlpcompress.surgery.share_layers import check_shared, share, with_shared_values
from nlpcompress.surgery.snapshot import put_back_on_error
from nlpcompress.surgery.verify import TOLERANCES, Forward, verified


class Surgery(NamedTuple):
    """What is done, what the model must compute after it, and the doing of it.

    `inputs` are what both are compared on, where it is not what the model took before.
    """

    what: str
    reference: Forward
    change: Callable[[], None]
    inputs: Mapping[str, Tensor] | None = None


def apply_plan(
    model: nn.Module,
    plan: Plan | Sequence[Mapping[str, Any]],
    example_inputs: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Cut `model` as the plan says, in place, and return it.

    After each group of edits the cut model must compute what the masked one computes on
    `example_inputs` (made from the config by default); of a model that holds half types a float32
    copy is cut first, as roundings would hide errors. Where the difference is too large, a float64
    copy decides whether it is rounding: it is large beside outputs that are nearly zero. After the
    last group the config is made to say the new shapes, so that the model's own `save_pretrained`
    writes a folder that reloads. Cut tensors become new parameters: an optimizer over the old ones
    must be made anew. On any error the model is exactly as it was before the call.

    Raises `PlanError` or `AxisError` for a plan that does not fit the model, `VerificationError`
    when the results differ, `FormatError` when the cut model could not be saved.
    """
    plan = plan if isinstance(plan, Plan) else plan_from_json(plan)
    inputs = (
        make_examples(model) if example_inputs is None else _on_device_of(model, example_inputs)
    )
    try:
        exact = in_float32(model)
        if exact is not model:
            _apply_all(exact, plan, batch_in_float32(inputs))
        _apply_whole(model, plan, inputs)
    except VerificationError:
        if not _holds_in_double(model, plan, inputs):
            raise
        _apply_whole(model, plan, inputs, tolerance=math.inf)
    return model


def _apply_whole(
    model: nn.Module, plan: Plan, inputs: Mapping[str, Tensor], tolerance: float | None = None
) -> None:
    with put_back_on_error(model):
        _apply_all(model, plan, inputs, tolerance)
        if isinstance(model, PreTrainedModel) and len(plan):
            record_structure(model)


def _holds_in_double(model: nn.Module, plan: Plan, inputs: Mapping[str, Tensor]) -> bool:
    """Whether the plan is right. A model that cannot run in float64 says nothing, and counts as no.

    Some parts of models compute in float32 whatever the weights are: its tolerance is allowed.
    """
    try:
        double = in_double(model)
        _apply_all(double, plan, batch_in_double(inputs), TOLERANCES[torch.float32])
    except (VerificationError, RuntimeError, TypeError):
        return False
    return True


def _on_device_of(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    device = next(model.parameters()).device
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def groups(plan: Plan) -> Iterator[list[Edit]]:
    """Edits that go together: one look at the model and one check serve all of a group.

    Consecutive keeps on different axes do, permutations likewise, consecutive factorings, and
    consecutive roundings.
    """
    group: list[Edit] = []
    for edit in plan:
        if group and not _joins(edit, group):
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _joins(edit: Edit, group: list[Edit]) -> bool:
    for kinds in ALIKE:
        if isinstance(edit, kinds):
            return isinstance(group[0], kinds)
    return isinstance(edit, BY_AXIS) and all(
        type(e) is type(edit) and e.axis != edit.axis for e in group
    )


def _apply_all(
    model: nn.Module, plan: Plan, inputs: Mapping[str, Tensor], tolerance: float | None = None
) -> None:
    for group in groups(plan):
        inputs = _apply(model, group, inputs, tolerance)


def _apply(
    model: nn.Module, group: list[Any], inputs: Mapping[str, Tensor], tolerance: float | None
) -> Mapping[str, Tensor]:
    """Do what the group says, and give the inputs that suit the model then."""
    if isinstance(group[0], Mask):
        note_zeros(model)
        return inputs
    surgery = PREPARE[type(group[0])](model, group, inputs)
    inputs = surgery.inputs or inputs
    what, reference = surgery.what, surgery.reference
    with verified(model, inputs, what=what, reference=reference, tolerance=tolerance):
        surgery.change()
    return inputs


def _keep(model: nn.Module, group: list[Keep], inputs: Mapping[str, Tensor]) -> Surgery:
    axes = find_axes(model, inputs)
    check_keeps(axes, group)
    masks = kept_masks(model, axes, group)
    names = ", ".join(edit.axis for edit in group)
    return Surgery(names, zeroed(model, masks), partial(cut, model, masks))


def _permute(model: nn.Module, group: list[Permute], inputs: Mapping[str, Tensor]) -> Surgery:
    axes = find_axes(model, inputs)
    check_orders(axes, group)
    names = ", ".join(edit.axis for edit in group)
    return Surgery(names, partial(_as_it_is, model), partial(permute, model, axes, group))


def _keep_layers(model: nn.Module, group: list[KeepLayers], _: object) -> Surgery:
    (edit,) = group
    check_layers(model, edit.layers)
    return Surgery(edit.op, bypassed(model, edit.layers), partial(cut_layers, model, edit.layers))


def _keep_vocabulary(
    model: nn.Module, group: list[KeepVocabulary], inputs: Mapping[str, Tensor]
) -> Surgery:
    (edit,) = group
    masks = vocabulary_masks(model, edit, inputs)
    change = partial(cut_vocabulary, model, masks, edit.tokens)
    reference = with_old_numbers(model, edit.tokens)
    return Surgery(edit.op, reference, change, numbered_anew(inputs, edit.tokens))


def _share(model: nn.Module, group: list[ShareLayers], _: object) -> Surgery:
    (edit,) = group
    check_shared(model, edit)
    return Surgery(edit.op, with_shared_values(model, edit), partial(share, model, edit))


def _factor(model: nn.Module, group: list[Any], _: object) -> Surgery:
    made = factored(model, group)
    what = ", ".join(dict.fromkeys(edit.op for edit in group))
    return Surgery(what, truncated(model, made), partial(factor, model, made))


def _decompose(model: nn.Module, group: list[Any], _: object) -> Surgery:
    made = decomposed(model, group)
    what = ", ".join(dict.fromkeys(edit.op for edit in group))
    return Surgery(what, with_products(model, made), partial(decompose, model, made))


def _fold_norms(model: nn.Module, group: list[FoldNorms], inputs: Mapping[str, Tensor]) -> Surgery:
    norms = foldable(model, inputs)
    return Surgery(group[0].op, partial(_as_it_is, model), partial(fold, model, norms))


def _keep_operations(model: nn.Module, group: list[KeepOperations], _: object) -> Surgery:
    (edit,) = group
    check_operations(model, edit)
    return Surgery(edit.op, only_operations(model, edit), partial(cut_operations, model, edit))


def _as_it_is(model: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
    return model(**inputs)


def _quantize(model: nn.Module, group: list[Quantize], _: object) -> Surgery:
    made = roundings(model, group)
    return Surgery("quantize", with_rounded_values(model, made), partial(quantize, model, made))


BY_AXIS = (Keep, Permute)
ALIKE = ((FactorEmbedding, LowRank), (SvdConv, TuckerConv, CpConv), (Quantize,))
PREPARE: dict[type[Edit], Callable[..., Surgery]] = {
    Keep: _keep,
    Permute: _permute,
    KeepLayers: _keep_layers,
    KeepVocabulary: _keep_vocabulary,
    ShareLayers: _share,
    FactorEmbedding: _factor,
    LowRank: _factor,
    SvdConv: _decompose,
    TuckerConv: _decompose,
    CpConv: _decompose,
    FoldNorms: _fold_norms,
    KeepOperations: _keep_operations,
    Quantize: _quantize,
}
