"""Layers that share are one copy in ONNX, in float and in 8 bits, and compute the same."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
)

from nlpcompress.export import export_onnx, quantize_dynamic
from nlpcompress.export import onnx as onnx_export
from nlpcompress.export.graph import turn_weights
from nlpcompress.export.quantize import count_quantized
from nlpcompress.export.runtime import OnnxModel
from nlpcompress.models.examples import example_inputs
from nlpcompress.models.factors import ranks
from nlpcompress.surgery import apply_plan

SIZES = {"hidden_size": 192, "num_attention_heads": 4, "intermediate_size": 768, "vocab_size": 900}
GRAPH = 20_000
"""Bytes a layer that a graph's nodes may take."""


def bert(kind=BertForSequenceClassification):
    torch.manual_seed(0)
    return kind(BertConfig(num_hidden_layers=2, max_position_embeddings=64, **SIZES)).eval()


def shared(part):
    plan = [{"op": "share_layers", "layers": [0, 1], "part": part}]
    return apply_plan(bert(), plan)


def shared_and_factored():
    """All layers have the same two factors of one matrix."""
    weight = "bert.encoder.layer.0.intermediate.dense.weight"
    return apply_plan(shared("all"), [{"op": "low_rank", "weight": weight, "rank": 64}])


def unshared(model):
    """The same weights, each layer its own."""
    own = bert(type(model))
    own.load_state_dict(model.state_dict())
    return own


def albert():
    torch.manual_seed(0)
    config = AlbertConfig(num_hidden_layers=2, embedding_size=64, **SIZES)
    return AlbertForSequenceClassification(config).eval()


def exported(model, folder, name="model"):
    path = export_onnx(model, folder / f"{name}.onnx", example_inputs(model))
    return path, quantize_dynamic(path, folder / f"{name}-int8.onnx")


def parameter_bytes(model):
    return 4 * sum(parameter.numel() for parameter in model.parameters())


def size(path):
    return Path(path).stat().st_size


MODELS = {
    "factored": shared_and_factored,
    "ffn": lambda: shared("ffn"),
    "albert": albert,
}


@pytest.fixture(scope="module", params=MODELS)
def files(request, tmp_path_factory):
    model = MODELS[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    return model, folder, *exported(model, folder)


def test_a_shared_weight_is_one_float_copy(files):
    model, _, path, _ = files
    assert 0 <= size(path) - parameter_bytes(model) < 4 * GRAPH


def test_a_shared_weight_is_one_copy_of_8_bits_and_no_float_is_left(files):
    model, _, _, small = files
    found = count_quantized(small)
    assert found.float_products == () and found.float_tables == ()
    more = len(ranks(model)) + hasattr(model, "albert")
    assert found.products == 2 * 6 + 2 + more
    assert size(small) < parameter_bytes(model) / 4 + 8 * GRAPH
    kinds = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    tensors = onnx.load(small).graph.initializer
    eights = [t for t in tensors if t.data_type in kinds and len(t.dims) == 2]
    matrices = [p for p in model.parameters() if p.dim() == 2]
    assert len(eights) == len(matrices)
    assert sum(np.prod(t.dims) for t in eights) == sum(p.numel() for p in matrices)


def test_shared_weights_compute_what_separate_ones_do(files, tmp_path, monkeypatch):
    model, _, path, small = files
    if hasattr(model, "albert") or ranks(model):
        pytest.skip("has no stock model whose layers are its own to compare with")
    # Equal weights would be one again, whoever ties them.
    monkeypatch.setattr(onnx_export, "DeduplicateInitializersPass", lambda **_: lambda model: model)
    apart, apart_small = exported(unshared(model), tmp_path, "apart")
    inputs = example_inputs(model)
    for one, own in ((path, apart), (small, apart_small)):
        (got,), (expected,) = (OnnxModel(file).run(inputs).values() for file in (one, own))
        assert np.array_equal(got, expected)
        assert size(one) < 0.9 * size(own)


def test_parity_in_8_bits(files):
    model, _, _, small = files
    inputs = example_inputs(model)
    with torch.no_grad():
        expected = model(**inputs).logits.numpy()
    (got,) = OnnxModel(small).run(inputs).values()
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()


def test_a_tied_decoder_is_one_copy_and_is_said_to_run_in_float(tmp_path):
    model = bert(BertForMaskedLM)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    path, small = exported(model, tmp_path)
    assert size(path) - parameter_bytes(model) < 4 * GRAPH
    found = count_quantized(small)
    assert len(found.float_products) == 1 and found.float_tables == ()
    assert size(small) < parameter_bytes(model) / 4 + 8 * GRAPH


def test_the_file_does_not_say_where_it_was_made(files):
    _, _, path, small = files
    for file in (path, small):
        model = onnx.load(file)
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert b"site-packages" not in file.read_bytes()


def test_a_weight_that_is_turned_two_ways_is_left_alone():
    weight = onnx.numpy_helper.from_array(np.arange(24, dtype=np.float32).reshape(2, 3, 4), "w")
    nodes = [
        onnx.helper.make_node("Transpose", ["w"], ["a"], perm=[0, 2, 1]),
        onnx.helper.make_node("Transpose", ["w"], ["b"], perm=[2, 1, 0]),
    ]
    outputs = [onnx.helper.make_tensor_value_info(n, 1, None) for n in "ab"]
    proto = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], outputs, [weight]))
    model = ir.from_proto(proto)
    assert turn_weights(model.graph) == 0
    assert [node.op_type for node in model.graph] == ["Transpose", "Transpose"]


def test_a_weight_that_is_an_output_too_is_left_as_it_lies():
    weight = onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes = [
        onnx.helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    x, y, w = (onnx.helper.make_tensor_value_info(name, 1, [4, 4]) for name in "xyw")
    graph = onnx.helper.make_graph(nodes, "g", [x], [y, w], [weight])
    assert turn_weights(ir.from_proto(onnx.helper.make_model(graph)).graph) == 0
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [weight])
    assert turn_weights(ir.from_proto(onnx.helper.make_model(graph)).graph) == 1
