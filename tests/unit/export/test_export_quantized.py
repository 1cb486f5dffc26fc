"""Models with packed weights as ONNX files that compute the same."""

import numpy as np
import pytest
import torch

from nlpcompress.export import OnnxModel, export_onnx, quantize_dynamic
from nlpcompress.models.quantized import Quantized
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_low_rank import masked_lm
from tests.unit.surgery.test_surgery_quantize import TABLE, quantize, quantize_all


def exported(model, inputs, folder):
    """Largest difference of ONNX Runtime from torch, relative to the largest value."""
    path = export_onnx(model, folder / "model.onnx", inputs)
    with torch.no_grad():
        expected = model(**inputs).logits.numpy()
    found = OnnxModel(path).run(inputs)["logits"]
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("family", ["bert", "albert", "gpt2", "resnet_basic"])
def test_the_file_computes_what_the_codes_stand_for(family, tmp_path):
    model, inputs = FAMILIES[family]()
    apply_plan(model, quantize_all(model), inputs)
    packed = sum(isinstance(module, Quantized) for module in model.modules())
    assert exported(model, inputs, tmp_path) < 1e-5
    assert sum(isinstance(module, Quantized) for module in model.modules()) == packed > 3


def test_a_tied_table_and_rounded_inputs(tmp_path):
    model, inputs = masked_lm()
    layer = "bert.encoder.layer.0.intermediate.dense"
    apply_plan(model, [quantize(TABLE), quantize(layer, 8, input_bits=8)], inputs)
    assert exported(model, inputs, tmp_path) < 1e-5


def test_eight_bits_for_speed(tmp_path):
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [*quantize_all(model), quantize(TABLE, 8)], inputs)
    path = export_onnx(model, tmp_path / "model.onnx", inputs)
    small = quantize_dynamic(path, tmp_path / "small.onnx")
    assert small.stat().st_size < path.stat().st_size
