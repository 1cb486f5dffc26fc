"""Recipes with the task pretraining: what they may not ask for, and a whole run."""

import json

import pytest
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification

from nlpcompress import run_recipe
from nlpcompress.errors import ConfigError
from nlpcompress.models.load import load_model
from nlpcompress.models.pretraining import order_label
from nlpcompress.models.random import random_config
from nlpcompress.recipe import batches
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.source import recipe_data, start_processor

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
TRAIN = {"max_steps": 3, "per_device_train_batch_size": 8, "learning_rate": 1.0e-3}


def recipe(kind="albert", **changes):
    made = {
        "version": 1,
        "name": "pretraining",
        "model": {"id": "random", "task": "pretraining", "config": {"model_type": kind, **SHAPE}},
        "data": {"name": "bbc-news", "max_length": 24},
        "stages": [{"method": "fine_tune", "train": TRAIN}],
        "bench": {"batch_sizes": [2], "sequence_lengths": [16], "rounds": 2},
    }
    return {**made, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "roberta"}, "model.config.model_type: .* albert and bert have, not roberta"),
        ({"export": {"onnx": True}}, "export.onnx: pretraining has two heads, .* leave it out"),
        ({"evaluate": {"metrics": ["f1"]}}, "evaluate.metrics: f1 is of neither head; allowed: m"),
        ({"evaluate": {"metrics": ["evaluate:x.py"]}}, "evaluate.metrics: evaluate:x.py is of nei"),
        ({"evaluate": {"metrics": 3}}, "evaluate.metrics: must be a list"),
        (
            {"stages": [{"method": "logits", "teacher": "some", "train": TRAIN}]},
            "stages.0: logits reads the answers of one head",
        ),
        (
            {"stages": [{"method": "head_importance"}]},
            "stages.0: head_importance reads the answers of one head",
        ),
        ({"stages": [{"method": "at_init"}]}, "stages.0: at_init reads the answers of one head"),
        (
            {"stages": [{"method": "fine_tune", "also": [{"method": "logits"}], "train": TRAIN}]},
            "stages.0: logits reads the answers of one head",
        ),
    ],
)
def test_what_two_heads_cannot_do_is_told_before_any_work(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse_recipe(recipe(**changes))


def test_by_default_both_heads_are_measured():
    metrics = parse_recipe(recipe()).evaluate.metrics
    assert metrics == ("masked_accuracy", "masked_loss", "order_accuracy")


def test_a_checkpoint_of_another_family_is_refused(tmp_path):
    config = random_config({"model_type": "distilbert", "dim": 32, "n_heads": 4, "n_layers": 1})
    config.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="albert and bert have, not distilbert"):
        load_model(str(tmp_path), task="pretraining")


@pytest.fixture
def corpus(tmp_path):
    """Words of the random model's tokenizer."""
    sentences = ("ice and snow was it.", "we saw a day.", "fire is heat.", "then one was far.")
    text = " ".join(sentences * 3)
    path = tmp_path / "corpus.csv"
    path.write_text("text\n" + f'"{text}"\n' * 12)
    return {"name": "csv", "files": {"train": str(path)}, "max_length": 24}


@pytest.mark.parametrize("kind", ["albert", "bert"])
def test_batches_that_are_timed_hold_no_label(corpus, kind):
    made = parse_recipe(recipe(kind, data=corpus))
    data = recipe_data(made, start_processor(made.model))
    assert order_label(kind) in data.test.column_names
    made_batches = [
        batches.first_batch(data),
        *batches.bench_batches(data, made.bench),
        *batches.test_batches(data, batch_size=2, limit=4),
    ]
    for batch in made_batches:
        assert set(batch) - {"token_type_ids"} == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("kind", ["albert", "bert"])
def test_a_whole_run_is_measured_and_reloads_as_stock(tmp_path, corpus, kind):
    out = tmp_path / "out"
    run_recipe(parse_recipe(recipe(kind, data=corpus)), out)
    (row,) = json.loads((out / "report.json").read_text())["rows"]
    assert set(row["metrics"]) == {"masked_accuracy", "masked_loss", "order_accuracy"}
    model, loading = AutoModelForPreTraining.from_pretrained(out, output_loading_info=True)
    assert type(model).__name__ == f"{kind.capitalize()}ForPreTraining"
    assert not loading["missing_keys"]
    AutoModelForSequenceClassification.from_pretrained(out)
