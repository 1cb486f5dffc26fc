"""Factored matrices are saved as two, and reload so, to the last bit."""

import json

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from nlpcompress.io import save_model
from nlpcompress.models.factors import FactoredEmbedding, ranks
from nlpcompress.models.weights import body_weights
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert
from tests.unit.surgery.test_surgery_low_rank import factor_embedding, low_rank

FFN = "bert.encoder.layer.{}.intermediate.dense.weight"
PLANS = {
    "table": factor_embedding(6),
    "matrices": [*low_rank(FFN.format(0), 4), *low_rank(FFN.format(3), 7)],
    "shared and factored": [
        *factor_embedding(4),
        {"op": "share_layers", "layers": [0, 1, 2, 3]},
        *low_rank(FFN.format(0), 5),
    ],
    "cut and factored": [
        {"op": "keep", "axis": "layers.1.heads", "indices": [1, 2]},
        *low_rank("bert.encoder.layer.1.attention.self.query.weight", 3),
        *low_rank("bert.encoder.layer.1.attention.self.key.weight", 3),
        {"op": "keep_layers", "layers": [1, 2]},
    ],
}


def factored_bert(name):
    model, inputs = deep_bert()
    return apply_plan(model, PLANS[name], inputs), inputs


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("options", [{}, {"device_map": "cpu"}])
@pytest.mark.parametrize("name", PLANS)
def test_each_plan_reloads_exactly(name, options, tmp_path):
    model, inputs = factored_bert(name)
    folder = save_model(model, tmp_path / "model")
    again, info = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True, **options
    )
    assert torch.equal(logits(model, inputs), logits(again.eval(), inputs))
    assert not any(info.values()), "transformers would tell of missing weights"
    assert parameters(again) == parameters(model) and ranks(again) == ranks(model)
    assert 0 <= (folder / "model.safetensors").stat().st_size - 4 * parameters(model) < 20_000
    again.save_pretrained(tmp_path / "again")
    third = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").eval()
    assert torch.equal(logits(model, inputs), logits(third, inputs))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"t5"}))
def test_every_family_reloads_exactly(family, tmp_path):
    model, inputs = FAMILIES[family]()
    names = [name for name, weight in body_weights(model).items() if weight.dim() == 2][:2]
    plan = [edit for name in names for edit in low_rank(name, 4)]
    if "input_ids" in inputs:
        plan += factor_embedding(4)
    if not plan:
        pytest.skip("only convolutions")
    apply_plan(model, plan, inputs)
    folder = save_model(model, tmp_path / "model")
    again, info = type(model).from_pretrained(folder, output_loading_info=True)
    assert torch.equal(logits(model, inputs), logits(again.eval(), inputs))
    assert parameters(again) == parameters(model)
    assert not any(info.values()), "transformers would tell of missing weights"


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "albert"])
def test_a_tied_decoder_is_saved_once_and_stays_tied(family, tmp_path):
    body, inputs = FAMILIES[family]()
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(body.config).eval()
    apply_plan(model, factor_embedding(5), inputs)
    folder = save_model(model, tmp_path / "model")
    again = AutoModelForMaskedLM.from_pretrained(folder).eval()
    table, decoder = again.get_input_embeddings(), again.get_output_embeddings()
    assert decoder.second.weight is table.second.weight and decoder.first.weight is table.first
    assert torch.equal(logits(model, inputs), logits(again, inputs))
    assert parameters(again) == parameters(model)
    assert 0 <= (folder / "model.safetensors").stat().st_size - 4 * parameters(model) < 20_000


def test_the_body_and_another_head_open_too(tmp_path):
    body, inputs = deep_bert()
    model = AutoModelForMaskedLM.from_config(body.config).eval()
    apply_plan(model, PLANS["shared and factored"], inputs)
    folder = save_model(model, tmp_path / "model")
    states = model.bert(**inputs)[0]
    for opened in (
        AutoModel.from_pretrained(folder).eval(),
        AutoModelForSequenceClassification.from_pretrained(folder).eval().bert,
    ):
        assert isinstance(opened.get_input_embeddings(), FactoredEmbedding)
        assert torch.equal(logits(opened, inputs), states)


def test_half_and_sixteen_bits(tmp_path):
    model, inputs = factored_bert("shared and factored")
    folder = save_model(model, tmp_path / "model")
    half = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.bfloat16).eval()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert torch.allclose(logits(half, inputs).float(), logits(model, inputs), atol=0.05)


def test_the_record_names_the_weight_and_its_rank(tmp_path):
    model, _ = factored_bert("matrices")
    config = json.loads((save_model(model, tmp_path / "m") / "config.json").read_text())
    structure = config["quantization_config"]["structure"]
    assert structure == {"factors": {FFN.format(0): 4, FFN.format(3): 7}}
