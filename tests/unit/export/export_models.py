"""Small models, whole and unevenly cut, batches for them, and files of a few nodes."""

import copy

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

HEAD_SIZE = 8


def text_batch(rows=2, length=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(rows, length, dtype=torch.long)
    mask[-1, length - length // 3 :] = 0
    return {
        "input_ids": torch.randint(5, 300, (rows, length), generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.zeros(rows, length, dtype=torch.long),
    }


def small_bert():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
        num_labels=3,
    )
    return BertForSequenceClassification(config).eval()


def cut_rows(linear, rows):
    small = nn.Linear(linear.in_features, len(rows))
    small.weight.data, small.bias.data = linear.weight.data[rows], linear.bias.data[rows]
    return small


def cut_columns(linear, columns):
    small = nn.Linear(len(columns), linear.out_features)
    small.weight.data, small.bias.data = linear.weight.data[:, columns], linear.bias.data
    return small


def cut_unevenly(model):
    """A copy with 3 and 1 of 4 heads, and 40 and 17 of 64 neurons, in its two layers."""
    model = copy.deepcopy(model)
    for layer, heads, neurons in zip(model.bert.encoder.layer, (3, 1), (40, 17), strict=True):
        rows = torch.arange(heads * HEAD_SIZE)
        attention = layer.attention.self
        for name in ("query", "key", "value"):
            setattr(attention, name, cut_rows(getattr(attention, name), rows))
        attention.num_attention_heads, attention.all_head_size = heads, len(rows)
        layer.attention.output.dense = cut_columns(layer.attention.output.dense, rows)
        layer.intermediate.dense = cut_rows(layer.intermediate.dense, torch.arange(neurons))
        layer.output.dense = cut_columns(layer.output.dense, torch.arange(neurons))
    return model


def graph_file(path, nodes, weights):
    """An ONNX file `x (B, 4) → y` of these nodes and constants."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "small", [x], [y], constants)
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path
