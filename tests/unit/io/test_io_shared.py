"""Layers that share are saved once, and reload as shared, to the last bit."""

import copy
import json

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from nlpcompress.bench.ledger import bytes_on_disk
from nlpcompress.core.weight_file import read_weight_file
from nlpcompress.io import save_model
from nlpcompress.models.layers import layers_of
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert

PLANS = {
    "all": [{"layers": [0, 1, 2, 3]}],
    "attention": [{"layers": [0, 1, 2, 3], "part": "attention"}],
    "ffn": [{"layers": [0, 1, 2, 3], "part": "ffn"}],
    "apart": [{"layers": [0, 3]}, {"layers": [1, 2], "part": "attention"}],
}


def shared_bert(name):
    model, inputs = deep_bert()
    plan = [{"op": "share_layers", **edit} for edit in PLANS[name]]
    return apply_plan(model, plan, inputs), inputs


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def tensor_bytes(folder):
    return sum(read_weight_file(folder / "model.safetensors").sizes.values())


@pytest.mark.parametrize("options", [{}, {"device_map": "cpu"}, {"dtype": torch.float32}])
@pytest.mark.parametrize("name", PLANS)
def test_each_way_of_sharing_reloads_exactly(name, options, tmp_path):
    model, inputs = shared_bert(name)
    folder = save_model(model, tmp_path / "model")
    again = AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()
    assert torch.equal(logits(model, inputs), logits(again, inputs))
    assert parameters(again) == parameters(model)
    header = bytes_on_disk(folder) - tensor_bytes(folder)
    assert 0 <= header < 20_000
    # And once more, by transformers alone.
    again.save_pretrained(tmp_path / "again")
    third = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").eval()
    assert torch.equal(logits(model, inputs), logits(third, inputs))
    assert parameters(third) == parameters(model)
    assert tensor_bytes(tmp_path / "again") == tensor_bytes(folder) == 4 * parameters(model)


@pytest.mark.parametrize("part", ["attention", "ffn"])
@pytest.mark.parametrize("family", ["distilbert", "modernbert", "vit", "gpt2", "llama"])
def test_every_kind_of_layer_reloads_exactly(family, part, tmp_path):
    model, inputs = FAMILIES[family]()
    apply_plan(model, [{"op": "share_layers", "layers": [0, 1], "part": part}], inputs)
    folder = save_model(model, tmp_path / "model")
    again, info = type(model).from_pretrained(folder, output_loading_info=True)
    assert torch.equal(logits(model, inputs), logits(again.eval(), inputs))
    assert parameters(again) == parameters(model)
    assert not any(info.values()), "transformers would tell of missing weights"


def test_what_is_loaded_still_learns_together(tmp_path):
    model, _ = shared_bert("all")
    again = AutoModelForSequenceClassification.from_pretrained(save_model(model, tmp_path / "m"))
    layers = [dict(layer.named_parameters()) for layer in layers_of(again)[1]]
    assert all(layers[0][name] is layers[3][name] for name in layers[0])
    assert "tie_weights" not in vars(again)
    twin = copy.deepcopy(again)
    assert parameters(twin) == parameters(model)
    assert parameters(again.half()) == parameters(model)


def test_the_body_and_another_head_open_too(tmp_path):
    model, inputs = shared_bert("apart")
    folder = save_model(model, tmp_path / "model")
    body = AutoModel.from_pretrained(folder).eval()
    inputs = {name: value for name, value in inputs.items() if name != "labels"}
    states = logits(model.bert, inputs)
    assert torch.equal(logits(body, inputs), states)
    other = AutoModelForMaskedLM.from_pretrained(folder).eval()
    assert torch.equal(logits(other.bert, inputs), states)


def test_a_tied_decoder_stays_tied(tmp_path):
    body, inputs = shared_bert("all")
    model = AutoModelForMaskedLM.from_config(body.config)
    apply_plan(model, [{"op": "share_layers", "layers": [0, 1, 2, 3]}], inputs)
    folder = save_model(model.eval(), tmp_path / "model")
    again = AutoModelForMaskedLM.from_pretrained(folder).eval()
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    assert torch.equal(logits(model, inputs), logits(again, inputs))


def test_cut_and_shared_in_int8_and_a_bit_mask(tmp_path):
    model, inputs = deep_bert()
    cut = [{"op": "keep", "axis": f"layers.{i}.neurons", "indices": [0, 3, 5]} for i in range(4)]
    apply_plan(model, [*cut, {"op": "share_layers", "layers": [1, 2, 3]}], inputs)
    with torch.no_grad():
        layers_of(model)[1][2].output.dense.weight[:, 1:] = 0
    folder = save_model(model, tmp_path / "model", storage="bitmask")
    again = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert torch.equal(logits(model, inputs), logits(again, inputs))
    assert parameters(again) == parameters(model)


def test_an_unshared_model_is_stock(tmp_path):
    model, _ = FAMILIES["bert"]()
    folder = save_model(model, tmp_path / "model")
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
