import copy
import logging

import numpy as np
import onnx
import pytest
import torch
from export_models import text_batch
from torch import nn

from nlpcompress.errors import AxisError, ParityError
from nlpcompress.export import OnnxModel, check_parity, export_onnx
from nlpcompress.export import onnx as export_module

SHAPES = ((3, 9), (1, 1), (5, 40), (1, 64))


def batches():
    return [text_batch(rows, length, seed=rows) for rows, length in SHAPES]


def dimensions(values):
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values
    }


def test_inputs_and_outputs_are_named_and_their_free_dimensions_too(bert_file):
    graph = onnx.load(bert_file).graph
    ids = ["batch", "length"]
    assert dimensions(graph.input) == dict.fromkeys(text_batch(), ids)
    assert dimensions(graph.output) == {"logits": ["batch", 3]}


def test_the_graph_computes_the_model_at_every_batch_and_length(bert, bert_file):
    parity = check_parity(bert, OnnxModel(bert_file), batches(), tolerance=1e-5)
    assert parity.shapes == ("3x9", "1x1", "5x40", "1x64")


def test_an_unevenly_cut_model_exports_and_is_smaller(uneven_bert, bert_file, tmp_path):
    path = export_onnx(uneven_bert, tmp_path / "model.onnx", text_batch())
    check_parity(uneven_bert, OnnxModel(path), batches(), tolerance=1e-5)
    assert path.stat().st_size < bert_file.stat().st_size


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_a_half_type_is_exported_as_its_float32_copy(bert, tmp_path, dtype):
    half = copy.deepcopy(bert).to(dtype)
    path = export_onnx(half, tmp_path / "model.onnx", text_batch())
    check_parity(half, OnnxModel(path), batches(), tolerance=1e-5)
    assert half.dtype is dtype


def test_attention_is_one_operator_and_every_layer_has_its_own_heads(uneven_bert, tmp_path):
    path = export_onnx(uneven_bert, tmp_path / "model.onnx", text_batch())
    layers = uneven_bert.bert.encoder.layer
    fused = [n for n in onnx.load(path).graph.node if n.op_type == "MultiHeadAttention"]
    heads = [onnx.helper.get_node_attr_value(node, "num_heads") for node in fused]
    size = uneven_bert.config.hidden_size // uneven_bert.config.num_attention_heads
    assert heads == [layer.attention.self.query.out_features // size for layer in layers]
    assert len(set(heads)) > 1


def test_without_fusing_all_operators_are_standard_and_say_the_same(uneven_bert, tmp_path):
    fused, plain = (
        export_onnx(uneven_bert, tmp_path / f"{fuse}.onnx", text_batch(), fuse=fuse)
        for fuse in (True, False)
    )
    assert {node.domain for node in onnx.load(plain).graph.node} == {""}
    assert [entry.domain for entry in onnx.load(plain).opset_import] == [""]
    own, other = (OnnxModel(path).run(text_batch())["logits"] for path in (fused, plain))
    assert np.abs(own - other).max() < 1e-6 * np.abs(other).max() + 1e-6


def test_an_image_model_has_a_free_batch_only(resnet, tmp_path):
    picture = torch.randn(1, 3, 32, 32)
    path = export_onnx(resnet, tmp_path / "model.onnx", {"pixel_values": picture})
    assert dimensions(onnx.load(path).graph.input) == {"pixel_values": ["batch", 3, 32, 32]}
    inputs = [{"pixel_values": torch.randn(rows, 3, 32, 32)} for rows in (1, 5)]
    check_parity(resnet, OnnxModel(path), inputs, tolerance=1e-5)


class Halves(nn.Module):
    """Says little, trains with dropout, and takes ids."""

    def __init__(self):
        super().__init__()
        self.table, self.dropout = nn.Embedding(20, 4), nn.Dropout(0.5)
        self.head = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, input_ids):
        return self.head(self.dropout(self.table(input_ids)).mean(1))


def test_each_module_gets_its_own_mode_back_and_dropout_is_not_exported(tmp_path):
    model = Halves().train()
    model.head.eval()
    ids = {"input_ids": torch.arange(6).view(2, 3)}
    path = export_onnx(model, tmp_path / "model.onnx", ids)
    assert (model.training, model.dropout.training, model.head.training) == (True, True, False)
    check_parity(model, OnnxModel(path), [ids], tolerance=1e-5)


def test_labels_do_not_become_inputs_and_one_row_is_enough(tmp_path):
    batch = {"input_ids": torch.arange(3).view(1, 3), "labels": torch.tensor([1])}
    exported = OnnxModel(export_onnx(Halves(), tmp_path / "model.onnx", batch))
    assert list(exported.inputs) == ["input_ids"]
    assert exported({"input_ids": np.ones((7, 5), dtype=np.int64)}).shape == (7, 2)


def test_nothing_is_printed_and_the_log_levels_come_back(tmp_path, capfd, recwarn):
    talker = logging.getLogger("torch.onnx")
    level = talker.level
    export_onnx(Halves(), tmp_path / "model.onnx", {"input_ids": torch.arange(6).view(2, 3)})
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert not list(recwarn)
    assert talker.level == level
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


class FixedLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(3))

    def forward(self, input_ids):
        return (input_ids * self.positions).sum(1, keepdim=True)


def test_a_model_of_fixed_length_is_refused_by_name(tmp_path):
    with pytest.raises(
        AxisError, match=r"cannot export FixedLength with free dimensions on input_ids \(2, 3\)"
    ):
        export_onnx(FixedLength(), tmp_path / "model.onnx", {"input_ids": torch.ones(2, 3).long()})
    assert not list(tmp_path.iterdir())


def test_a_graph_that_computes_something_else_is_never_put_in_place(tmp_path, monkeypatch):
    def with_a_larger_bias(graph, free):
        bias = graph.initializers["head.2.bias"]
        bias.const_value = type(bias.const_value)(bias.const_value.raw * 3.0, name=bias.name)

    monkeypatch.setattr(export_module, "name_dimensions", with_a_larger_bias)
    with pytest.raises(
        ParityError, match=r"computes something else: at input_ids \(3, 1\) its logits differ"
    ):
        export_onnx(Halves(), tmp_path / "model.onnx", {"input_ids": torch.arange(6).view(2, 3)})
    assert not list(tmp_path.iterdir())


def test_residual_sums_are_not_fused_into_the_slow_kernel(bert, bert_file, tmp_path):
    session = pytest.importorskip("onnxruntime")
    options = session.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    session.InferenceSession(str(bert_file), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "SkipLayerNormalization" not in operators
    assert operators.count("LayerNormalization") == 5
