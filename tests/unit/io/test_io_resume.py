"""Trainer's checkpoints of shared and factored models: one copy, and resumed to the same end."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from nlpcompress.training import CompressionTrainer
from tests.unit.io.test_io_factors import factored_bert
from tests.unit.io.test_io_shared import shared_bert

MODELS = {
    "shared": lambda: shared_bert("apart"),
    "factored": lambda: factored_bert("matrices"),
    "both": lambda: factored_bert("shared and factored"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_training_ends_the_same(name, tmp_path):
    checkpoint = tmp_path / "run" / "checkpoint-2"
    whole, resumed = (trained(name, tmp_path / "run", resume=r) for r in (None, checkpoint))
    ends = resumed.state_dict()
    assert all(torch.equal(ends[name], value) for name, value in whole.state_dict().items())
    parameters = {id(parameter): parameter.numel() for parameter in resumed.parameters()}
    stored = load_file(checkpoint / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == sum(parameters.values())


def trained(name, folder, *, resume):
    model, inputs = MODELS[name]()
    ids = inputs["input_ids"][0]
    rows = [{"input_ids": ids, "labels": torch.tensor(label)} for label in (0, 1)]
    args = TrainingArguments(
        str(folder), max_steps=4, save_steps=2, learning_rate=1e-2, report_to=[],
        use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = CompressionTrainer(model, args, train_dataset=rows)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer.model
