"""Metrics of masked tokens: means over tokens of the whole set, a batch of logits at a time."""

import math

import datasets
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, Trainer, TrainingArguments

from nlpcompress.errors import DataError
from nlpcompress.evaluation.evaluate import compute_metrics_for, evaluate, torch_predictor
from nlpcompress.evaluation.metrics import default_metrics, load_metric
from nlpcompress.evaluation.tally import RunningMean, tally_of

NAMES = ["masked_accuracy", "masked_loss", "perplexity"]
VOCABULARY = 20
LENGTHS = (3, 9, 5, 12, 4, 7, 6) * 5


def rows():
    random = np.random.RandomState(0)
    ids = [random.randint(1, VOCABULARY, length).tolist() for length in LENGTHS]
    labels = [[t if random.rand() < 0.3 else -100 for t in row] for row in ids]
    labels[2] = [-100] * LENGTHS[2]
    return datasets.Dataset.from_dict({"input_ids": ids, "labels": labels})


def collate(batch):
    def padded(name, value):
        length = max(len(row[name]) for row in batch)
        return torch.tensor([row[name] + [value] * (length - len(row[name])) for row in batch])

    ids = padded("input_ids", 0)
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": padded("labels", -100)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=VOCABULARY, intermediate_size=32, initializer_range=0.5, **sizes)
    return BertForMaskedLM(config).eval()


def by_hand(model):
    """One text at a time, through torch's own cross-entropy."""
    losses, right = [], []
    for row in rows():
        batch = collate([row])
        with torch.no_grad():
            logits = model(input_ids=batch["input_ids"]).logits[0].double()
        labels = batch["labels"][0]
        chosen = labels != -100
        losses += cross_entropy(logits[chosen], labels[chosen], reduction="none").tolist()
        right += (logits.argmax(-1) == labels)[chosen].tolist()
    mean = sum(losses) / len(losses)
    return {
        "masked_accuracy": sum(right) / len(right),
        "masked_loss": mean,
        "perplexity": math.exp(mean),
    }


@pytest.mark.parametrize("batch_size", [1, 2, 3, 32])
def test_they_are_means_over_all_masked_tokens(model, batch_size):
    found = evaluate(torch_predictor(model), rows(), collate, metrics=NAMES, batch_size=batch_size)
    assert found.pop("samples") == len(LENGTHS)
    assert found == pytest.approx(by_hand(model), rel=1e-5)
    assert 0 < found["masked_accuracy"] < 1


@pytest.mark.parametrize("by_batch", [True, False])
def test_a_trainer_reports_the_same_numbers(model, tmp_path, by_batch):
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        report_to=[],
        per_device_eval_batch_size=2,
        batch_eval_metrics=by_batch,
    )
    compute = compute_metrics_for(NAMES)
    trainer = Trainer(model, arguments, data_collator=collate, compute_metrics=compute)
    trainer.evaluate(rows().select(range(3)))  # of which nothing is left for the second
    reported = trainer.evaluate(rows())
    assert {n: reported[f"eval_{n}"] for n in NAMES} == pytest.approx(by_hand(model), rel=1e-5)


def test_no_logits_are_kept(model):
    tally = tally_of(load_metric("masked_loss"))
    batch = collate(list(rows()))
    logits = torch_predictor(model)({"input_ids": batch["input_ids"]})
    tally.add(logits, batch["labels"].numpy())
    assert isinstance(tally, RunningMean)
    assert {type(value) for value in vars(tally).values()} - {float, int} == {type(tally.metric)}


def test_the_worked_example():
    logits = np.log([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.2, 0.6, 0.2], [0.3, 0.3, 0.4]]])
    labels = np.array([[0, -100], [2, -100]])
    values = {name: load_metric(name)(logits, labels) for name in NAMES}
    assert values["masked_accuracy"] == 0.5
    assert values["masked_loss"] == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    assert values["perplexity"] == pytest.approx(10**0.5)


def test_logits_far_apart_do_not_overflow():
    logits = np.array([[[1e4, 0.0], [0.0, 1e4]]], dtype=np.float32)
    assert load_metric("masked_loss")(logits, np.array([[0, 0]])) == pytest.approx(5e3)


def test_only_masked_tokens_must_be_finite_and_one_must_be_there():
    logits = np.zeros((1, 2, 3))
    logits[0, 1] = np.nan
    assert load_metric("masked_accuracy")(logits, np.array([[0, -100]])) == 1
    for name in NAMES:
        with pytest.raises(DataError, match="1 of 1 predictions are NaN"):
            load_metric(name)(logits, np.array([[-100, 1]]))
        with pytest.raises(DataError, match="at least one row with one, got none"):
            load_metric(name)(logits, np.array([[-100, -100]]))


def test_logits_of_examples_are_refused():
    for name in NAMES:
        with pytest.raises(DataError, match=r"got \(4, 2\) and \(4, 3\); use it for .* masked-lm"):
            load_metric(name)(np.zeros((4, 2)), np.zeros((4, 3), int))
        with pytest.raises(DataError, match="3 logits allow 0 to 2"):
            load_metric(name)(np.zeros((1, 2, 3)), np.array([[3, -100]]))


def test_they_are_the_tasks_own():
    assert default_metrics("masked-lm") == ("masked_accuracy", "masked_loss")
