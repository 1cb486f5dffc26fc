"""Half precision is a stage's own: the next one knows nothing of it, and the result is plain."""

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from nlpcompress.recipe.arguments import training_arguments
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.run import run_recipe
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import Examples, tiny_bert


def test_each_stage_has_the_precision_it_asks_for(tmp_path):
    precisions = [True, False, True]
    stages = [{"method": "fine_tune", "train": {"bf16": bf16}} for bf16 in precisions]
    values = {"version": 1, "name": "precisions", "stages": stages}
    model = {"id": "some/model", "task": "text-classification"}
    recipe = parse_recipe({**values, "model": model, "data": {"name": "synthetic-text"}})
    found = []
    for position in range(len(stages)):
        args = training_arguments(recipe, position, tmp_path)
        trainer = CompressionTrainer(tiny_bert(), args, train_dataset=Examples())
        found.append(trainer.accelerator.mixed_precision)
    assert found == ["bf16", "no", "bf16"]


@pytest.mark.parametrize("smoke", ["logits", "layerwise"])
def test_a_recipe_in_bfloat16_runs_to_its_end(tmp_path, smoke):
    recipe = load_recipe(
        find_recipe(f"smoke/{smoke}"), ["export.onnx=false", "export.quantize=none"]
    )
    values = recipe.to_json()
    for stage in values["stages"]:
        if stage.get("train"):
            stage["train"]["bf16"] = True
    run_recipe(parse_recipe(values), tmp_path / "out")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["rows"][-1]["metrics"]["accuracy"] > 0.5
