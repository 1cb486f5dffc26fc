"""A whole run of masked language modelling: plain text to a trained, cut and exported model."""

import json
import math

import pytest
import yaml
from transformers import AutoModelForMaskedLM

from nlpcompress.cli.main import main

ROWS = ["teacher", "teacher-int8", "compressed", "compressed-int8"]
SHAPE = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
TRAIN = {"learning_rate": 5.0e-3, "per_device_train_batch_size": 16, "logging_steps": 5}
RECIPE = {
    "version": 1,
    "name": "masked-lm",
    "model": {"id": "random", "task": "masked-lm", "config": SHAPE},
    "data": {"name": "synthetic-text", "max_length": 16, "masking": {"smoothing": 0.7}},
    "stages": [
        {"method": "fine_tune", "train": {**TRAIN, "num_train_epochs": 4}},
        {"method": "neuron_importance", "config": {"keep": 0.5}},
        {"method": "logits", "config": {}, "train": {**TRAIN, "max_steps": 5}},
    ],
    "evaluate": {"metrics": ["masked_accuracy", "masked_loss", "perplexity"], "batch_size": 7},
    "export": {"onnx": True, "quantize": "dynamic-int8", "max_metric_drop": 0.5},
    "bench": {"batch_sizes": [2], "sequence_lengths": [16], "rounds": 3},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    assert main(["run", str(recipe), f"out={folder / 'result'}"]) == 0
    return folder / "result"


def _metrics(finished):
    rows = json.loads((finished / "report.json").read_text())["rows"]
    return {row["name"]: row["metrics"] for row in rows}


def test_every_model_is_measured_by_its_masked_tokens(finished):
    metrics = _metrics(finished)
    assert list(metrics) == ROWS
    for values in metrics.values():
        assert 0 <= values["masked_accuracy"] <= 1
        assert values["perplexity"] == pytest.approx(math.exp(values["masked_loss"]))


def test_training_made_the_model_better_than_guessing(finished):
    """The vocabulary has 31 tokens, of which 26 are words: log 31 is 3.43 nats, log 26 is 3.26."""
    assert _metrics(finished)["teacher"]["masked_loss"] < 3.33


def test_the_trained_head_is_saved_and_reloaded(finished):
    model, loading = AutoModelForMaskedLM.from_pretrained(finished, output_loading_info=True)
    assert not loading["missing_keys"]
    assert type(model).__name__ == "BertForMaskedLM"


def test_exports_are_compared_token_by_token(finished):
    models = json.loads((finished / "onnx" / "parity.json").read_text())["models"]
    samples = json.loads((finished / "report.json").read_text())["samples"]
    assert {name: parity["rows"] for name, parity in models.items()} == {
        "model.onnx": samples * 16,
        "model_int8.onnx": samples * 16,
    }
    assert [gate["metric"] for gate in models["model_int8.onnx"]["gates"]] == ["masked_accuracy"]


def test_evaluation_does_not_depend_on_the_batch_size(finished, capsys):
    assert main(["evaluate", str(finished), "evaluate.batch_size=32"]) == 0
    again = json.loads(capsys.readouterr().out)
    for name in ("teacher", "compressed"):  # int8 rounds a batch's activations together
        assert again[name] == pytest.approx(_metrics(finished)[name], rel=1e-5)


def test_the_dry_run_and_the_report_know_the_task(finished, capsys):
    assert main(["plan", str(finished / "recipe.yaml")]) == 0
    assert main(["report", str(finished)]) == 0
    assert "masked_accuracy" in capsys.readouterr().out
