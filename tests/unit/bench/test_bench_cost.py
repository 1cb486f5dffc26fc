import pytest
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from nlpcompress.bench import energy_estimate, measure
from nlpcompress.bench.ledger import parameter_count, size_ledger, stored_bytes

B, T, D, F, L, H, V, C = 2, 10, 32, 48, 2, 4, 60, 3
TEXT = {
    "vocab_size": V,
    "hidden_size": D,
    "num_hidden_layers": L,
    "num_attention_heads": H,
    "intermediate_size": F,
    "max_position_embeddings": 16,
    "num_labels": C,
}


def ids(rows=B, length=T):
    ones = torch.ones(rows, length, dtype=torch.long)
    return {"input_ids": ones, "attention_mask": ones}


def picture(size=224):
    return {"pixel_values": torch.randn(1, 3, size, size)}


def resnet_18():
    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        num_labels=1000,
    )
    return ResNetForImageClassification(config)


def test_mobilenet_v2_has_its_published_cost():
    """MCUNetV2, figure 1: 1372 kB with one byte an element; 3.50 M parameters; 0.301 G MACs."""
    model = MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=1000, tf_padding=False))
    cost = measure(model, picture())
    assert cost["peak_activations"] == 1372 * 1024
    assert cost["parameters"] == 3_504_872
    assert cost["macs"] == pytest.approx(0.301e9, rel=0.002)


def test_resnet_18_has_its_published_cost():
    """11.69 M parameters, 1.814 G MACs; the first feature map and its pooled quarter, 980 K."""
    cost = measure(resnet_18(), picture())
    assert cost["parameters"] == 11_689_512
    assert cost["macs"] == pytest.approx(1.814e9, rel=0.001)
    assert cost["peak_activations"] == 980 * 1024 == 64 * (112 * 112 + 56 * 56)


def test_the_products_of_an_encoder_are_all_counted():
    linear = B * T * (4 * D * D + 2 * D * F)
    attention = 2 * B * T * T * D
    head = B * D * D + B * D * C
    model = BertForSequenceClassification(BertConfig(**TEXT))
    assert measure(model, ids())["macs"] == L * (linear + attention) + head


class TwoWays(nn.Module):
    def __init__(self, keep):
        super().__init__()
        self.keep = keep
        self.up, self.down = nn.Linear(4, 100), nn.Linear(100, 4)

    def forward(self, features):
        wide = self.up(features)
        acted = wide.relu()
        return self.down(acted) + (wide.sum(-1, keepdim=True) if self.keep else 0)


def test_an_activation_function_writes_in_place_unless_its_input_is_needed_later():
    features = {"features": torch.randn(2, 4)}
    assert measure(TwoWays(keep=False), features)["peak_activations"] == 2 * (100 + 4)
    assert measure(TwoWays(keep=True), features)["peak_activations"] == 2 * (100 + 100 + 4)


def test_each_operation_moves_its_inputs_and_its_output():
    """Counted by hand: three products, an activation, a sum and an addition of float32."""
    up = 2 * 4 + 100 * 4 + 100 + 2 * 100
    relu = 2 * (2 * 100)
    down = 2 * 100 + 4 * 100 + 4 + 2 * 4
    total = 2 * 100 + 2
    plus = 2 * 4 + 2 + 2 * 4
    features = {"features": torch.randn(2, 4)}
    assert measure(TwoWays(keep=True), features)["bytes_moved"] == 4 * (
        up + relu + down + total + plus
    )


class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(1000, 8)

    def forward(self, input_ids):
        return self.table(input_ids).transpose(1, 2)


def test_a_lookup_reads_the_rows_it_looks_up_and_a_view_nothing():
    cost = measure(Lookup(), {"input_ids": torch.ones(2, 5, dtype=torch.long)})
    assert cost["bytes_moved"] == 2 * 5 * 8 + 2 * (2 * 5 * 8 * 4)


def test_energy_is_that_of_products_and_of_bytes():
    """Of Han et al. 2015, table 1: a product 3.7 pJ, a sum 0.9 pJ, 32 bits of DRAM 640 pJ."""
    assert energy_estimate(10**9, 0) == pytest.approx(4.6)
    assert energy_estimate(0, 4 * 10**6) == pytest.approx(0.64)


def test_nothing_is_computed_moved_or_changed():
    """Weights and inputs without values are enough, so no value can have been used."""
    with torch.device("meta"):
        model, inputs = BertForSequenceClassification(BertConfig(**TEXT)), ids()
    model.train()
    on_meta = measure(model, inputs)
    assert model.training
    assert {tensor.device.type for tensor in (*model.parameters(), *inputs.values())} == {"meta"}
    assert on_meta == measure(BertForSequenceClassification(BertConfig(**TEXT)), ids())


def test_shared_weights_count_once():
    model = BertForMaskedLM(BertConfig(**TEXT))
    table = model.bert.embeddings.word_embeddings.weight
    assert model.cls.predictions.decoder.weight is table
    named = dict(model.named_parameters(remove_duplicate=False))
    once = {id(value): value.numel() for value in named.values()}
    assert parameter_count(model) == sum(once.values())
    assert sum(value.numel() for value in named.values()) >= parameter_count(model) + table.numel()
    assert stored_bytes(model) == 4 * parameter_count(model)


def test_the_ledger_adds_up_and_knows_the_parts():
    model = BertForSequenceClassification(BertConfig(**TEXT))
    ledger = size_ledger(model)
    assert sum(ledger.values()) == stored_bytes(model)
    assert ledger["head"] == 4 * (D * C + C)
    assert ledger["embeddings"] == 4 * (V * D + 16 * D + 2 * D + 2 * D)


def test_albert_works_as_much_as_bert_with_the_weights_of_one_layer():
    config = {**TEXT, "embedding_size": 16, "num_hidden_layers": 2}
    one = AlbertForSequenceClassification(AlbertConfig(**{**config, "num_hidden_layers": 1}))
    two = AlbertForSequenceClassification(AlbertConfig(**config))
    first, second = measure(one, ids()), measure(two, ids())
    assert first["parameters"] == second["parameters"]
    assert second["macs"] > 1.8 * first["macs"]
