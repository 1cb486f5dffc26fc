"""Bytes of layers and parts: they add up, in memory and in files, for texts and for pictures."""

import pytest
import torch

from nlpcompress import apply_plan, plan_from_json
from nlpcompress.bench.layer_bytes import by_parts, layer_bytes
from nlpcompress.bench.ledger import bytes_on_disk, size_ledger, stored_bytes
from nlpcompress.io.save import save_model
from tests.families import FAMILIES


def total(layers):
    return sum(sum(layer.values()) for layer in layers)


def test_a_layer_is_its_attention_and_its_feed_forward_network():
    torch.manual_seed(0)
    model, _ = FAMILIES["bert"]()
    layers = layer_bytes(model)
    assert len(layers) == model.config.num_hidden_layers
    own = model.bert.encoder.layer[0]
    attention = sum(p.numel() * 4 for p in own.attention.parameters())
    ffn = sum(p.numel() * 4 for p in (*own.intermediate.parameters(), *own.output.parameters()))
    assert layers[0] == {"attention": attention, "ffn": ffn, "rest": 0}
    ledger = by_parts(size_ledger(model), layers)
    assert sum(ledger.values()) == stored_bytes(model)
    assert ledger["attention"] == len(layers) * attention


def test_cut_and_shared_layers_weigh_less(tmp_path):
    torch.manual_seed(0)
    model, inputs = FAMILIES["bert"]()
    before = layer_bytes(model)
    plan = plan_from_json([{"op": "keep", "axis": "layers.0.heads", "indices": [0]}])
    apply_plan(model, plan, inputs)
    cut = layer_bytes(model)
    assert cut[0]["attention"] < before[0]["attention"] and cut[1] == before[1]
    save_model(model, tmp_path / "out", plan=plan)
    assert layer_bytes(model, tmp_path / "out") == cut
    ledger = by_parts(size_ledger(model, tmp_path / "out"), cut)
    assert sum(ledger.values()) == bytes_on_disk(tmp_path / "out")
    shared, inputs = FAMILIES["bert"]()
    edit = {"op": "share_layers", "layers": [0, 1], "part": "ffn", "source": 0}
    apply_plan(shared, [edit], inputs)
    assert [layer["ffn"] > 0 for layer in layer_bytes(shared)[:2]] == [True, False]


@pytest.mark.parametrize("family", ["resnet_basic", "mobilenet_v2", "vit", "gpt2", "distilbert"])
def test_most_of_every_family_lies_in_its_layers(family):
    torch.manual_seed(0)
    model, _ = FAMILIES[family]()
    layers, ledger = layer_bytes(model), size_ledger(model)
    assert len(layers) > 1 and 0.5 * ledger["encoder"] < total(layers) <= ledger["encoder"]
    assert sum(by_parts(ledger, layers).values()) == sum(ledger.values())
