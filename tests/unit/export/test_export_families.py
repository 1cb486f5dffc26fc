"""Every family exports with free dimensions and computes what it did, also in 8 bits."""

import pytest
import torch

from nlpcompress.export import (
    OnnxModel,
    check_parity,
    compare,
    count_quantized,
    export_onnx,
    quantize_dynamic,
)
from nlpcompress.export.inputs import resized
from tests.families import FAMILIES

QUICK = {"distilbert", "t5"}
"""Always tried: other names of inputs and modules; a decoder, with a cache that is no output."""


@pytest.mark.parametrize(
    "family",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES],
)
def test_a_family_computes_the_same_at_every_size(family, tmp_path):
    model, inputs = FAMILIES[family]()
    path = export_onnx(model, tmp_path / "model.onnx", inputs)
    sizes = ({"batch": 1, "length": 7}, {"batch": 5, "length": 23})
    batches = [resized(inputs, {"decoder_length": 4, **size}) for size in sizes]
    check_parity(model, OnnxModel(path), batches, tolerance=2e-5)

    found = count_quantized(quantize_dynamic(path, tmp_path / "int8.onnx"))
    assert found.products > 0
    assert found.float_tables == ()
    drift = compare(model, OnnxModel(tmp_path / "int8.onnx"), batches, tolerance=None)
    assert torch.isfinite(torch.tensor(drift.relative))
