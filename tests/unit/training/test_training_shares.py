"""A step is the same however it is split, although its parts have other numbers of tokens."""

import math

import pytest
import torch
from torch.utils.data import SequentialSampler

from nlpcompress.core import counts
from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer
from tests.unit.training.ragged_tiny import RaggedTokens, collate, other, token_bert
from tests.unit.training.training_tiny import arguments, distance, weights

# Adam would hide a wrong scale of the loss, and clipping too; plain SGD shows it.
SENSITIVE = {"optim": "sgd", "learning_rate": 0.3, "max_grad_norm": 0.0, "max_steps": 4}
SMALL = {"alpha_ce": 0.5, "alpha_task": 0.2, "alpha_cos": 0.1}
TAUGHT = {
    "labels": {"fine_tune": {}},
    "soft targets": {"logits": {"alpha_ce": 0.9}},
    "matched logits": {"logits": {"loss": "mse"}},
    "triple loss": {"triple_loss": SMALL},
    "triple loss where labelled": {"triple_loss": {**SMALL, "soft_targets": "labelled"}},
    "layers": {"layerwise": {"phase": "layers"}},
    "attentions and values": {
        "features": {
            "intermediate_matches": [
                {"feature": "attention", "loss": "kl", "layers": "uniform"},
                {"feature": "values", "loss": "kl", "layers": "last"},
            ]
        }
    },
    "a state of each example": {
        "features": {
            "intermediate_matches": [{"layer_S": "bert.embeddings", "layer_T": "bert.embeddings"}]
        }
    },
}


def _unlabelled(rows):
    return {name: value for name, value in collate(rows).items() if name != "labels"}


def _ended(folder, methods, size, steps, *, labelled=True, **values):
    model = token_bert()
    split = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
    trainer = CompressionTrainer(
        model,
        arguments(folder, **SENSITIVE, **split),
        train_dataset=RaggedTokens(),
        data_collator=collate if labelled else _unlabelled,
        methods=[make_method(name, config) for name, config in methods.items()],
        teacher=other(model),
        **values,
    )
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return weights(trainer.model), losses


@pytest.mark.parametrize("methods", TAUGHT.values(), ids=TAUGHT.keys())
def test_accumulation_changes_neither_the_weights_nor_the_log(tmp_path, methods):
    whole, losses = _ended(tmp_path, methods, 8, 1)
    assert distance(whole, weights(token_bert())) > 1e-3
    for size, steps in ((4, 2), (1, 8)):
        split, logged = _ended(tmp_path, methods, size, steps)
        assert distance(whole, split) < 1e-6, (size, steps)
        assert logged == pytest.approx(losses, abs=2e-4)


def test_without_shares_the_weights_would_differ(tmp_path, monkeypatch):
    monkeypatch.setattr("nlpcompress.training.trainer.add_shares", lambda *_: None)
    whole, _ = _ended(tmp_path, TAUGHT["labels"], 8, 1)
    split, _ = _ended(tmp_path, TAUGHT["labels"], 1, 8)
    assert distance(whole, split) > 1e-4


def test_a_users_own_loss_keeps_its_own_division(tmp_path):
    def own(outputs, labels, num_items_in_batch=None):
        flat = outputs["logits"].flatten(0, 1), labels.flatten()
        return torch.nn.functional.cross_entropy(*flat, reduction="sum") / num_items_in_batch

    methods = {"logits": {"alpha_ce": 0.5}}
    whole, _ = _ended(tmp_path, methods, 8, 1, compute_loss_func=own)
    split, _ = _ended(tmp_path, methods, 2, 4, compute_loss_func=own)
    assert distance(whole, split) < 1e-6


def test_what_a_batch_has():
    batch = collate([RaggedTokens()[row] for row in range(4)])  # of 2, 7, 12 and 6 tokens
    known = int((batch["labels"] != -100).sum())
    assert [int(f(batch)) for f in (counts.examples, counts.tokens)] == [4, 27]
    assert int(counts.token_pairs(batch)) == 2**2 + 7**2 + 12**2 + 6**2
    assert int(counts.labels(batch)) == known
    assert int(counts.answered_tokens(batch)) == 27


@pytest.mark.parametrize("labels", [torch.tensor([1, 0]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])])
def test_labels_of_examples_count_as_examples(labels):
    batch = {"input_ids": torch.ones(2, 5, dtype=torch.long), "labels": labels}
    batch["attention_mask"] = torch.ones(2, 5, dtype=torch.long)
    assert int(counts.labels(batch)) == int(counts.answered_tokens(batch)) == 2


def test_pictures_count_as_examples():
    batch = {"pixel_values": torch.rand(3, 1, 4, 4), "labels": torch.tensor([0, 1, 2])}
    every = (
        counts.examples,
        counts.labels,
        counts.answered_tokens,
        counts.tokens,
        counts.token_pairs,
    )
    assert [int(count(batch)) for count in every] == [3] * 5


@pytest.mark.parametrize(
    "methods",
    [
        {"logits": {"alpha_task": 0.0}},
        {"triple_loss": {**SMALL, "alpha_task": 0.0}},
        {"layerwise": {"phase": "prediction"}},
        {"logits": {"alpha_task": 0.0}, "supernet": {"samples": 1, "weight": 5.0}},
    ],
    ids=" and ".join,
)
def test_answers_for_tokens_that_nobody_labelled_count_as_tokens(tmp_path, methods):
    whole, losses = _ended(tmp_path, methods, 8, 1, labelled=False)
    assert distance(whole, weights(token_bert())) > 1e-3
    for size, steps in ((4, 2), (1, 8)):
        split, logged = _ended(tmp_path, methods, size, steps, labelled=False)
        assert distance(whole, split) < 1e-6, (size, steps)
        assert logged == pytest.approx(losses, abs=2e-4)


@pytest.mark.parametrize("size", [2, 1])
def test_rows_without_labels_are_no_part_of_the_log(tmp_path, size):
    """Row 0 of each two has none; alone in a batch its loss is NaN."""

    class Half(RaggedTokens):
        def __getitem__(self, row):
            example = super().__getitem__(row)
            return example if row % 2 else {**example, "labels": -100 + 0 * example["labels"]}

    args = arguments(
        tmp_path, **SENSITIVE, per_device_train_batch_size=size, gradient_accumulation_steps=2
    )
    trainer = CompressionTrainer(
        token_bert(), args, train_dataset=Half(), data_collator=collate, methods=[]
    )
    trainer._get_train_sampler = lambda *_: SequentialSampler(trainer.train_dataset)
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert all(math.isfinite(line["loss_task"]) for line in lines)
    assert all(line["loss"] == pytest.approx(line["loss_task"], abs=1e-4) for line in lines)
    assert all(value.isfinite().all() for value in weights(trainer.model).values())


def test_a_step_without_any_labels_has_no_loss(tmp_path):
    class Unlabelled(RaggedTokens):
        def __getitem__(self, row):
            example = super().__getitem__(row)
            return {**example, "labels": torch.full_like(example["labels"], -100)}

    model = token_bert()
    trainer = CompressionTrainer(
        model,
        arguments(tmp_path, **SENSITIVE, per_device_train_batch_size=4),
        train_dataset=Unlabelled(),
        data_collator=collate,
        methods=[make_method("features", {"alpha_task": 0.0})],
        teacher=other(model),
    )
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert all(line["loss_task"] == 0 for line in lines)
    assert all(line["loss"] == pytest.approx(line["loss_hidden_mse"], abs=1e-4) for line in lines)


def test_a_count_is_of_no_type_that_cannot_hold_it():
    for dtype in (torch.bool, torch.uint8, torch.bfloat16):
        batch = {"some": torch.zeros(257, 2, dtype=dtype)}
        assert float(counts.examples(batch)) == 257
