import numpy as np
import pytest
import torch
from export_models import graph_file, text_batch
from onnx import helper, numpy_helper
from pydantic import ValidationError

from nlpcompress.errors import DataError, FormatError, ParityError
from nlpcompress.export import (
    OnnxModel,
    StaticInt8,
    check_parity,
    compare,
    count_integer_products,
    export_onnx,
    quantize_static,
)
from nlpcompress.export.load import load_graph


def pictures(count, *, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield {"pixel_values": scale * torch.randn(4, 3, 32, 32, generator=generator)}


@pytest.fixture(scope="module")
def resnet_file(resnet, tmp_path_factory):
    path = tmp_path_factory.mktemp("resnet") / "model.onnx"
    return export_onnx(resnet, path, next(pictures(1, seed=0)))


def products(path):
    nodes = load_graph(path).graph.node
    return sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in nodes)


def test_every_product_of_a_cnn_runs_on_integers(resnet, resnet_file, tmp_path):
    path = quantize_static(resnet_file, tmp_path / "static.onnx", pictures(4, seed=1))
    assert count_integer_products(path) == products(resnet_file) > 5
    assert count_integer_products(resnet_file) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["static.onnx"]
    parity = check_parity(resnet, OnnxModel(path), list(pictures(3, seed=2)), tolerance=None)
    assert 1e-4 < parity.rms_relative < 0.1


def test_ranges_come_from_the_batches_given(resnet, resnet_file, tmp_path):
    unlike = quantize_static(resnet_file, tmp_path / "unlike.onnx", pictures(4, seed=1, scale=0.01))
    like = quantize_static(resnet_file, tmp_path / "like.onnx", pictures(4, seed=1))
    test = list(pictures(3, seed=2))
    drift = [
        compare(resnet, OnnxModel(path), test, tolerance=None).rms_relative
        for path in (like, unlike)
    ]
    assert 5 * drift[0] < drift[1]


def scales_of_filters(path):
    """Of each convolution's weights: how many scales, and how many filters."""
    graph = load_graph(path).graph
    constants = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    decoders = {n.output[0]: n.input for n in graph.node if n.op_type == "DequantizeLinear"}
    filters = [decoders[n.input[1]] for n in graph.node if n.op_type == "Conv"]
    return [(constants[scale].size, len(constants[codes])) for codes, scale, *_ in filters]


def test_a_scale_for_each_filter_or_one_for_all(resnet_file, tmp_path):
    for per_channel in (True, False):
        config = StaticInt8(per_channel=per_channel)
        path = tmp_path / f"{per_channel}.onnx"
        quantize_static(resnet_file, path, pictures(1, seed=1), config=config)
        scales = scales_of_filters(path)
        assert len(scales) > 5
        assert all(count == (filters if per_channel else 1) for count, filters in scales)


def test_of_a_transformer_products_and_tables_alone(bert, bert_file, tmp_path):
    batches = [text_batch(8, 20, seed=seed) for seed in range(4)]
    labelled = [batch | {"labels": torch.zeros(8)} for batch in batches]
    path = quantize_static(bert_file, tmp_path / "static.onnx", labelled)
    # 2 layers of q, k, v, attention output, and 2 of the FFN; 2 heads; attention itself is fused
    assert count_integer_products(path) == 2 * 6 + 2
    nodes = load_graph(path).graph.node
    encoded = {name for n in nodes if n.op_type == "QuantizeLinear" for name in n.input}
    norms = {n.output[0] for n in nodes if n.op_type == "Add"} - encoded
    assert norms, "what is added up stays in float"
    assert path.stat().st_size < bert_file.stat().st_size
    assert compare(bert, OnnxModel(path), batches, tolerance=None).rms_relative < 0.2


def test_no_batches_are_refused_and_nothing_is_written(resnet_file, tmp_path):
    with pytest.raises(DataError, match="no batches to see ranges of activations on"):
        quantize_static(resnet_file, tmp_path / "static.onnx", [])
    assert not list(tmp_path.iterdir())


def test_batches_of_other_inputs_are_refused(resnet_file, tmp_path):
    with pytest.raises(DataError, match="pixel_values"):
        quantize_static(resnet_file, tmp_path / "static.onnx", [text_batch()])
    assert not list(tmp_path.iterdir())


def test_pictures_of_another_size_are_refused(resnet_file, tmp_path):
    with pytest.raises(DataError, match=r"index: 2 Got: 20 Expected: .* example batch of yours"):
        quantize_static(
            resnet_file, tmp_path / "static.onnx", [{"pixel_values": torch.rand(2, 3, 20, 20)}]
        )
    assert not list(tmp_path.iterdir())


def test_a_graph_without_products_is_refused_and_nothing_written(tmp_path):
    nodes = [helper.make_node("Add", ["x", "w"], ["y"], name="add")]
    source = graph_file(tmp_path / "model.onnx", nodes, {"w": np.ones((1, 4), np.float32)})
    with pytest.raises(ParityError, match=r"nothing in model\.onnx could be quantised"):
        quantize_static(source, tmp_path / "static.onnx", [{"x": torch.randn(2, 4)}])
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_torn_source_is_named(resnet_file, tmp_path):
    torn = tmp_path / "model.onnx"
    torn.write_bytes(resnet_file.read_bytes()[:-1000])
    with pytest.raises(FormatError, match="is torn or not an ONNX file"):
        quantize_static(torn, tmp_path / "static.onnx", pictures(1, seed=0))


def test_unknown_settings_are_named():
    with pytest.raises(ValidationError, match="signed"):
        StaticInt8(signed=True)
