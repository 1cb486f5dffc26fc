"""A recipe that learns sentence order: both orders of a pair in one batch, and a stock result."""

import json

from transformers import AutoModelForSequenceClassification

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.training import CompressionTrainer

SHAPE = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}


def test_a_run_sees_both_orders_of_a_pair_in_one_batch(tmp_path, monkeypatch):
    seen, step = [], CompressionTrainer.training_step

    def recording(trainer, model, inputs, *args):
        seen.append(inputs["labels"].tolist())
        return step(trainer, model, inputs, *args)

    monkeypatch.setattr(CompressionTrainer, "training_step", recording)
    run_recipe(parse_recipe(_recipe(tmp_path)), tmp_path / "out")
    assert seen == [[0, 1] * 4] * 3
    (row,) = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert set(row["metrics"]) == {"accuracy"}
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert model.config.id2label == {0: "in order", 1: "swapped"}


def _recipe(folder):
    text = " ".join(("ice and snow was it.", "we saw a day.", "fire is heat.", "one was far.") * 3)
    corpus = folder / "corpus.csv"
    corpus.write_text("text\n" + f'"{text}"\n' * 12)
    train = {"max_steps": 3, "per_device_train_batch_size": 8, "learning_rate": 1.0e-3}
    return {
        "version": 1,
        "name": "sentence-order",
        "model": {"id": "random", "task": "sentence-order", "config": SHAPE},
        "data": {"name": "csv", "files": {"train": str(corpus)}, "max_length": 24},
        "stages": [{"method": "fine_tune", "train": train}],
        "evaluate": {"metrics": ["accuracy"]},
        "bench": {"batch_sizes": [2], "sequence_lengths": [16], "rounds": 2},
    }
