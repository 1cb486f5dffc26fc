import copy

import numpy as np
import pytest
import torch
from export_models import graph_file, text_batch
from onnx import helper

from nlpcompress.errors import FormatError, ParityError
from nlpcompress.export import (
    DynamicInt8,
    OnnxModel,
    check_parity,
    compare,
    count_quantized,
    export_onnx,
    quantize_dynamic,
)


def test_every_product_with_weights_and_every_table_is_counted_as_8_bit(bert_file, tmp_path):
    path = quantize_dynamic(bert_file, tmp_path / "int8.onnx")
    found = count_quantized(path)
    # 2 layers of q, k, v, attention output and 2 of the FFN; pooler and classifier; 3 tables
    assert (found.products, found.float_products) == (2 * 6 + 2, ())
    assert (found.tables, found.float_tables) == (3, ())
    before = count_quantized(bert_file)
    assert (before.products, len(before.float_products)) == (0, 14)
    assert len(before.float_tables) == 3
    assert path.stat().st_size < bert_file.stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["int8.onnx"]


def test_logits_drift_a_little_and_not_at_all_in_shape(bert, bert_file, tmp_path):
    path = quantize_dynamic(bert_file, tmp_path / "int8.onnx")
    batches = [text_batch(8, length, seed=length) for length in (5, 20, 40)]
    parity = check_parity(bert, OnnxModel(path), batches, tolerance=None)
    assert 1e-4 < parity.rms_relative < 0.2
    assert parity.agreement >= 0.9


def test_the_defaults_drift_less_than_one_scale_a_matrix(bert, bert_file, tmp_path):
    batches = [text_batch(16, 30, seed=seed) for seed in range(3)]
    configs = {
        "default": DynamicInt8(),
        "one scale": DynamicInt8(per_channel=False),
    }
    drift = {}
    for name, config in configs.items():
        path = quantize_dynamic(bert_file, tmp_path / f"{name}.onnx", config=config)
        drift[name] = compare(bert, OnnxModel(path), batches, tolerance=None).rms_relative
    assert drift["default"] < 0.03
    assert drift["default"] < 0.7 * drift["one scale"]


def test_tables_stay_in_float_when_told_so(bert_file, tmp_path):
    config = DynamicInt8(embeddings=False)
    found = count_quantized(quantize_dynamic(bert_file, tmp_path / "int8.onnx", config=config))
    assert (found.products, found.tables, len(found.float_tables)) == (14, 0, 3)


def test_convolutions_are_quantised_with_a_warning_or_left_alone(resnet, tmp_path, caplog):
    picture = {"pixel_values": torch.randn(2, 3, 32, 32)}
    many_classes = copy.deepcopy(resnet)
    many_classes.classifier[1] = torch.nn.Linear(resnet.classifier[1].in_features, 500)
    source = export_onnx(many_classes, tmp_path / "model.onnx", picture)
    small = count_quantized(quantize_dynamic(source, tmp_path / "int8.onnx"))
    assert small.convolutions == small.products - 1 > 0
    assert "saves space, not time" in caplog.text
    config = DynamicInt8(convolutions=False)
    left = count_quantized(quantize_dynamic(source, tmp_path / "fast.onnx", config=config))
    assert (left.convolutions, left.products) == (0, 1)
    assert len(left.float_products) == small.convolutions


def test_a_graph_without_weights_in_products_is_refused_and_nothing_written(tmp_path):
    nodes = [helper.make_node("Add", ["x", "w"], ["y"], name="add")]
    source = graph_file(tmp_path / "model.onnx", nodes, {"w": np.ones((1, 4), np.float32)})
    with pytest.raises(ParityError, match=r"nothing in model\.onnx could be quantised"):
        quantize_dynamic(source, tmp_path / "int8.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_that_would_grow_is_refused_with_both_sizes(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    source = graph_file(tmp_path / "model.onnx", nodes, {"w": np.eye(4, dtype=np.float32)})
    size = source.stat().st_size
    with pytest.raises(ParityError, match=rf"would take \d+ bytes and not fewer than its {size}"):
        quantize_dynamic(source, tmp_path / "int8.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_torn_source_is_named(bert_file, tmp_path):
    torn = tmp_path / "model.onnx"
    torn.write_bytes(bert_file.read_bytes()[:-1000])
    with pytest.raises(FormatError, match="is torn or no ONNX file"):
        quantize_dynamic(torn, tmp_path / "int8.onnx")
