"""How a training learns from pictures mixed in pairs."""

import math

import pytest
import torch
from transformers import TrainingArguments

from nlpcompress.data.config import MixupConfig
from nlpcompress.data.pictures.mixup import SOFT_LABELS, MixupCollate
from nlpcompress.training import CompressionTrainer
from tests.families import FAMILIES


@pytest.fixture
def trainer(tmp_path):
    model, inputs = FAMILIES["resnet_basic"]()
    shape = inputs["pixel_values"].shape[1:]

    def pictures(rows):
        pixels = torch.stack([torch.full(shape, row / 10) for row in rows])
        return {"pixel_values": pixels, "labels": torch.tensor([row % 2 for row in rows])}

    collate = MixupCollate(pictures, MixupConfig(alpha=1.0), model.config.num_labels)
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=4, max_steps=2, report_to="none", use_cpu=True
    )
    return CompressionTrainer(model, arguments, train_dataset=list(range(8)), data_collator=collate)


def test_the_loss_is_the_mixed_labels_own(trainer):
    """λ · CE(first label) + (1 - λ) · CE(second label), written out."""
    torch.manual_seed(3)
    batch = trainer.data_collator([0, 1, 3, 6])
    model = trainer.model.train()
    with torch.no_grad():
        loss, outputs = trainer.compute_loss(model, dict(batch), return_outputs=True)
        logs = outputs.logits.double().log_softmax(-1)
    expected = -(batch[SOFT_LABELS].double() * logs).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert abs(outputs.loss.item() - loss.item()) > 1e-3


def test_methods_look_at_the_pictures_as_they_are(trainer):
    batch = next(trainer.context().batches())
    assert SOFT_LABELS not in batch
    values = {value for picture in batch["pixel_values"] for value in picture.unique().tolist()}
    assert len(values) == 4 and all(abs(10 * v - round(10 * v)) < 1e-5 for v in values)


def test_a_training_runs_through_and_evaluates_without_soft_labels(trainer):
    assert trainer.train().global_step == 2
    trainer.data_collator = trainer.data_collator.unchanged
    assert math.isfinite(trainer.evaluate(list(range(4)))["eval_loss"])
