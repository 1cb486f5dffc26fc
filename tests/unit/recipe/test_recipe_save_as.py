"""A recipe's result as a stock ALBERT: it opens without this package; else it is told early."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AlbertForSequenceClassification

from nlpcompress.errors import PlanError
from nlpcompress.models import load_model
from nlpcompress.models.examples import example_inputs
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe

SMOKE = Path(__file__).parents[3] / "recipes" / "smoke" / "albert.yaml"
TRAIN = {"max_steps": 2, "per_device_train_batch_size": 4}


def recipe(share):
    values = yaml.safe_load(SMOKE.read_text())
    values["stages"] = [
        {"method": "albert", "config": {"share": share}},
        {"method": "logits", "train": TRAIN},
    ]
    return parse_recipe(values | {"save_as": "albert", "export": {"onnx": False}})


def test_shared_layers_are_saved_as_a_stock_albert(tmp_path):
    report = run_recipe(recipe("all"), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "albert" and "quantization_config" not in config
    assert not list((tmp_path / "out").glob("nlpcompress_*.py"))
    model = AlbertForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert report.rows[-1].parameters == sum(p.numel() for p in model.parameters())
    # What the last stage trained, and not what it began with.
    (bert,) = [f for f in (tmp_path / "out" / ".stages").glob("*/model") if _is_shared_bert(f)]
    inputs = example_inputs(model)
    before = load_model(str(bert), task="text-classification")
    with torch.no_grad():
        assert not torch.equal(model(**inputs).logits, before(**inputs).logits)


def _is_shared_bert(folder):
    config = json.loads((folder / "config.json").read_text())
    return config["model_type"] == "bert" and "quantization_config" in config


def test_what_albert_cannot_say_is_told_before_the_training(tmp_path):
    with pytest.raises(PlanError, match="their attention or FFN alone"):
        run_recipe(recipe("ffn"), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("checkpoint-*"))
    assert len(list((tmp_path / "out" / ".stages").glob("*/done.json"))) == 1
