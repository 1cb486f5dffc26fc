"""The axes of a quantized model have the dense one's names; what is packed cannot be cut."""

import pytest
import torch

from nlpcompress.axes import find_axes
from nlpcompress.errors import AxisError
from nlpcompress.models.dense import dense_stand_ins
from nlpcompress.models.quantized import schemes
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert
from tests.unit.surgery.test_surgery_quantize import OUTPUT, TABLE, quantize, quantize_all

QUANTIZED = "quantized: cut first, then quantize"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_axes_of_packed_weights_are_there_and_frozen(family):
    model, inputs = FAMILIES[family]()
    before = find_axes(model, inputs)
    apply_plan(model, quantize_all(model), inputs)
    packed = {f"{path}.weight" for path in schemes(model)}
    after = find_axes(model, inputs)
    assert [(a.name, a.size) for a in after] == [(a.name, a.size) for a in before]
    assert after.unknown_ops == before.unknown_ops
    for old, new in zip(before, after, strict=True):
        touched = any(part.tensor in packed for part in new.slices)
        assert new.frozen == (old.frozen or (QUANTIZED if touched else None))
    assert any(axis.frozen == QUANTIZED for axis in after)


def test_a_keep_on_packed_weights_says_what_to_do():
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT)], inputs)
    with pytest.raises(AxisError, match=f"'layers.0.neurons' cannot be cut: {QUANTIZED}"):
        apply_plan(model, [{"op": "keep", "axis": "layers.0.neurons", "indices": [0, 1]}], inputs)


def test_what_is_not_packed_can_still_be_cut():
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT), quantize(TABLE)], inputs)
    before = model.get_submodule(OUTPUT).weight
    apply_plan(model, [{"op": "keep", "axis": "layers.1.neurons", "indices": [0, 1]}], inputs)
    assert model.bert.encoder.layer[1].output.dense.weight.shape == (32, 2)
    assert model.get_submodule(OUTPUT).weight is before


def test_a_model_without_values_has_the_same_axes():
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT), quantize(TABLE)], inputs)
    expected = list(find_axes(model, inputs))
    assert list(find_axes(model.to("meta"), inputs)) == expected


def test_what_stands_in_has_the_type_of_the_model():
    model, inputs = deep_bert()
    apply_plan(model, quantize_all(model), inputs)
    model.to(torch.bfloat16)
    with dense_stand_ins(model):
        weight = model.get_submodule(OUTPUT).weight
        assert weight.dtype == torch.bfloat16 and weight.shape == (32, 48)
        assert weight.untyped_storage().nbytes() == 2
