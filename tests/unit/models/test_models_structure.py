"""What `describe` sees and `build` makes: shapes, heads, groups, names, tied weights."""

import copy
import json
from fractions import Fraction

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from nlpcompress.errors import FormatError
from nlpcompress.models.heads import scale_heads
from nlpcompress.models.structure import (
    build,
    describe,
    fit_module,
    named_tensors,
    replace_tensors,
    skeleton,
)
from tests.families import FAMILIES


def shrink(model, path, shape):
    """Give the parameter at `path` another shape, as surgery does."""
    old = named_tensors(model)[path]
    replace_tensors(model, {id(old): nn.Parameter(torch.ones(shape))})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stock_model_has_an_empty_record(family):
    model, _ = FAMILIES[family]()
    assert describe(model) == {}


def test_describe_names_shapes_and_heads_of_a_bert():
    model, _ = FAMILIES["bert"]()
    layer = "bert.encoder.layer.1.attention.self"
    for name in ("query", "key", "value"):
        shrink(model, f"{layer}.{name}.weight", (8, 32))
    assert describe(model) == {
        "shapes": {f"{layer}.{name}.weight": [8, 32] for name in ("query", "key", "value")},
        "heads": {f"{layer}.query.weight": [1, 4], f"{layer}.key.weight": [1, 4]},
    }


def test_describe_uses_the_names_on_disk():
    """transformers 5 renamed ViT's modules, not its tensors on disk."""
    model, _ = FAMILIES["vit"]()
    module = "vit.layers.0.mlp.fc1" if hasattr(model.vit, "layers") else None
    shrink(model, f"{module or 'vit.encoder.layer.0.intermediate.dense'}.weight", (20, 32))
    assert describe(model) == {
        "shapes": {"vit.encoder.layer.0.intermediate.dense.weight": [20, 32]}
    }


def test_describe_counts_key_value_heads_apart():
    model, _ = FAMILIES["llama"]()
    layer = "model.layers.0.self_attn"
    shrink(model, f"{layer}.q_proj.weight", (16, 48))  # 2 of 6 heads of 8
    shrink(model, f"{layer}.k_proj.weight", (8, 48))  # 1 of 2
    assert describe(model)["heads"] == {
        f"{layer}.q_proj.weight": [2, 6],
        f"{layer}.k_proj.weight": [1, 2],
    }


def test_describe_sees_groups_of_convolutions():
    model, _ = FAMILIES["mobilenet_v1"]()
    path = "mobilenet_v1.layer.0.convolution"
    shrink(model, f"{path}.weight", (5, 1, 3, 3))
    model.get_submodule(path).groups = 5
    record = describe(model)
    assert record["groups"] == {f"{path}.weight": 5}
    assert record["shapes"] == {f"{path}.weight": [5, 1, 3, 3]}


def test_describe_refuses_modules_that_the_config_does_not_make():
    model, _ = FAMILIES["bert"]()
    model.classifier = nn.Sequential(model.classifier)
    with pytest.raises(
        FormatError, match=r"'classifier': Sequential in the model, Linear from its"
    ):
        describe(model)


def test_build_makes_the_described_shapes_and_sizes():
    model, _ = FAMILIES["bert"]()
    layer = model.bert.encoder.layer[0]
    for name in ("query", "key", "value"):
        shrink(model, f"bert.encoder.layer.0.attention.self.{name}.weight", (16, 32))
        shrink(model, f"bert.encoder.layer.0.attention.self.{name}.bias", (16,))
    shrink(model, "bert.encoder.layer.0.attention.output.dense.weight", (32, 16))
    record = json.loads(json.dumps(describe(model)))

    stock = skeleton(model)
    build(stock, record)
    assert describe(stock) == record
    assert all(t.is_meta for t in stock.parameters())
    attention = stock.bert.encoder.layer[0].attention
    assert (attention.self.query.out_features, attention.output.dense.in_features) == (16, 16)
    assert (attention.self.num_attention_heads, attention.self.all_head_size) == (2, 16)
    assert stock.bert.encoder.layer[1].attention.self.num_attention_heads == 4
    assert layer.attention.self.num_attention_heads == 4  # the model itself was only looked at


def test_build_finds_names_with_and_without_the_base_models_prefix():
    model, _ = FAMILIES["bert"]()
    record = {"shapes": {"bert.encoder.layer.0.output.dense.weight": [32, 7], "gone.weight": [1]}}
    body = skeleton(model).bert
    build(body, record)
    assert body.encoder.layer[0].output.dense.in_features == 7

    headed = skeleton(model)
    build(headed, {"shapes": {"encoder.layer.0.output.dense.weight": [32, 7]}})
    assert headed.bert.encoder.layer[0].output.dense.in_features == 7


def test_build_keeps_tied_tensors_tied_and_their_type():
    model, _ = FAMILIES["t5"]()
    model = copy.deepcopy(model).to(torch.bfloat16)
    build(model, {"shapes": {"shared.weight": [50, 32]}})
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight
    assert model.shared.weight.shape == (50, 32)
    assert model.shared.weight.dtype is torch.bfloat16


def test_fit_module_reads_every_size_from_the_weight():
    cases = [
        (nn.Linear(4, 6), (5, 3), {"out_features": 5, "in_features": 3}),
        (Conv1D(6, 4), (3, 5), {"nx": 3, "nf": 5}),
        (nn.Conv2d(8, 8, 1, groups=4), (6, 2, 1, 1), {"in_channels": 8, "out_channels": 6}),
        (nn.BatchNorm2d(4), (3,), {"num_features": 3}),
        (nn.LayerNorm(4), (3,), {"normalized_shape": (3,)}),
        (nn.GroupNorm(2, 4), (2,), {"num_channels": 2}),
        (nn.Embedding(4, 6), (5, 3), {"num_embeddings": 5, "embedding_dim": 3}),
    ]
    for module, shape, sizes in cases:
        module.weight = nn.Parameter(torch.ones(shape))
        fit_module(module)
        assert {name: getattr(module, name) for name in sizes} == sizes


def test_scale_heads_follows_queries_and_keys():
    attention = nn.Module()
    attention.num_heads, attention.num_key_value_heads, attention.num_key_value_groups = 12, 4, 3
    attention.inner_dim, attention.head_dim = 96, 8
    scale_heads(attention, Fraction(1, 3), Fraction(1, 2))
    assert (attention.num_heads, attention.inner_dim, attention.head_dim) == (4, 32, 8)
    assert (attention.num_key_value_heads, attention.num_key_value_groups) == (2, 2)
