"""Masked tokens and the order of segments in one training: both losses, however a step is split."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from nlpcompress.core.method import Objective, Step
from nlpcompress.evaluation.evaluate import compute_metrics_for, evaluate, torch_predictor
from nlpcompress.models.pretraining import order_label, order_logits, token_logits
from nlpcompress.training import CompressionTrainer
from nlpcompress.training.order_objective import split_order
from tests.unit.training.pretraining_tiny import MODELS, data_for, model_of
from tests.unit.training.training_tiny import arguments, distance, weights

SENSITIVE = {"optim": "sgd", "learning_rate": 0.3, "max_grad_norm": 0.0, "max_steps": 4}
METRICS = ["masked_accuracy", "masked_loss", "order_accuracy"]


class OnceMasked:
    """Each row masked by itself, so that its mask is the same however rows are batched."""

    def __init__(self, data):
        self.data = data

    def __call__(self, rows):
        alone = [self.data.collate([row]) for row in rows]
        masked = [
            {**row, "input_ids": one["input_ids"][0].tolist(), "labels": one["labels"][0].tolist()}
            for one, row in zip(alone, rows, strict=True)
        ]
        return self.data.collate(masked)


def _trainer(folder, kind, data, collate=None, **values):
    return CompressionTrainer(
        model_of(kind),
        arguments(folder, **{"remove_unused_columns": False, **values}),
        train_dataset=data.train,
        eval_dataset=data.test,
        data_collator=collate or data.collate,
        compute_metrics=compute_metrics_for(METRICS),
    )


@pytest.mark.parametrize("kind", MODELS)
def test_the_two_parts_are_those_of_the_models_own_loss(tmp_path, kind):
    data, label = data_for(kind, tmp_path), order_label(kind)
    batch = data.collate([data.train[i] for i in range(6)])
    model = model_of(kind).eval()
    with torch.no_grad():
        outputs = model(**batch)
    whole = Objective("task", 0.5, lambda step: step.task_loss)
    tokens, order = split_order([whole], ["labels", label])
    assert (tokens.name, order.name, tokens.weight, order.weight) == ("task", "order", 0.5, 0.5)
    step = Step(batch, outputs, outputs.loss)
    logits = token_logits(outputs).flatten(0, 1)
    expected = cross_entropy(logits, batch["labels"].flatten())
    assert float(tokens.loss(step)) == pytest.approx(float(expected), rel=1e-5)
    expected = cross_entropy(order_logits(outputs), batch[label])
    assert float(order.loss(step)) == pytest.approx(float(expected), rel=1e-6)
    assert int(tokens.count(batch)) == int((batch["labels"] != -100).sum())
    assert int(order.count(batch)) == 6


def test_other_models_keep_their_objectives():
    objectives = (Objective("task", 1.0, lambda step: step.task_loss),)
    assert split_order(objectives, ["labels"]) == objectives


def _ended(folder, kind, size, steps):
    """Weights after four steps of eight pairs, and the lines of the log."""
    data = data_for(kind, folder)
    split = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
    trainer = _trainer(folder, kind, data, OnceMasked(data), **SENSITIVE, **split)
    trainer.train()
    return weights(trainer.model), [x for x in trainer.state.log_history if "loss" in x]


@pytest.mark.parametrize("kind", MODELS)
def test_accumulation_changes_neither_the_weights_nor_the_log(tmp_path, kind):
    whole, logged = _ended(tmp_path, kind, 8, 1)
    assert distance(whole, weights(model_of(kind))) > 1e-3
    both = logged[0]["loss_task"] + logged[0]["loss_order"]
    assert logged[0]["loss"] == pytest.approx(both, abs=2e-4)
    for size, steps in ((4, 2), (2, 4)):
        split, lines = _ended(tmp_path, kind, size, steps)
        assert distance(whole, split) < 1e-6, (size, steps)
        for key in ("loss", "loss_task", "loss_order"):
            assert [x[key] for x in lines] == pytest.approx([x[key] for x in logged], abs=2e-4)


def test_with_one_weight_for_the_sum_the_weights_would_differ(tmp_path, monkeypatch):
    monkeypatch.setattr("nlpcompress.training.trainer.split_order", lambda found, _: found)
    whole, _ = _ended(tmp_path, "albert", 8, 1)
    split, _ = _ended(tmp_path, "albert", 2, 4)
    assert distance(whole, split) > 1e-3


@pytest.mark.parametrize("kind", MODELS)
def test_training_learns_both_and_the_trainer_measures_both(tmp_path, kind):
    data = data_for(kind, tmp_path)
    trainer = _trainer(
        tmp_path, kind, data, max_steps=300, learning_rate=3e-3, per_device_train_batch_size=16
    )
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_masked_loss"] < before["eval_masked_loss"] - 0.3
    assert after["eval_order_accuracy"] > 0.85
    found = evaluate(
        torch_predictor(trainer.model), data.test, data.collate, metrics=METRICS, batch_size=8
    )
    for name in METRICS:
        assert after[f"eval_{name}"] == pytest.approx(found[name], rel=1e-5)


def test_metrics_batch_by_batch_are_those_of_the_whole(tmp_path):
    data = data_for("albert", tmp_path)
    found = [
        _trainer(tmp_path, "albert", data, batch_eval_metrics=batched).evaluate()
        for batched in (False, True)
    ]
    for name in METRICS:
        assert found[0][f"eval_{name}"] == pytest.approx(found[1][f"eval_{name}"], rel=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_training_ends_in_the_same_weights(tmp_path, kind):
    data = data_for(kind, tmp_path)
    ends = []
    for _ in range(2):
        trainer = _trainer(tmp_path, kind, data)
        trainer.train()
        ends.append(weights(trainer.model))
    assert distance(*ends) == 0


def test_a_resumed_training_has_the_same_masks_and_weights(tmp_path):
    data = data_for("albert", tmp_path)
    saving = {"max_steps": 20, "save_strategy": "steps", "save_steps": 13}
    whole = _trainer(tmp_path / "whole", "albert", data, **saving)
    whole.train()
    again = _trainer(tmp_path / "whole", "albert", data, **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-13"))
    assert distance(weights(whole.model), weights(again.model)) == 0
    assert torch.isfinite(torch.tensor(whole.state.log_history[0]["loss"]))
