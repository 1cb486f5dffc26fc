"""Masked language modelling in the trainer: killed and resumed to the same masks and weights."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, TrainerCallback

from nlpcompress.data.config import DataConfig, MaskingConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.synthetic import VOCABULARY
from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.models.random import word_tokenizer
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import arguments, distance, teacher_of, weights

SAVING = {"max_steps": 14, "save_strategy": "steps", "save_steps": 8, "logging_steps": 1}


class KilledError(Exception):
    pass


class KillAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KilledError


@pytest.fixture(scope="module")
def data():
    config = DataConfig(
        name="synthetic-text", max_length=16, train_samples=64, masking=MaskingConfig(smoothing=0.7)
    )
    return load_data(config, task="masked-lm", processor=word_tokenizer(VOCABULARY))


def model():
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    return BertForMaskedLM(
        BertConfig(vocab_size=31, intermediate_size=48, max_position_embeddings=32, **shape)
    )


def trainer(folder, data, *, callbacks=(), methods=(), teacher=None, cache=None, **values):
    return CompressionTrainer(
        model(),
        arguments(folder, **{**SAVING, **values}),
        train_dataset=data.train,
        data_collator=data.collate,
        callbacks=list(callbacks),
        methods=[make_method(name, {}) for name in methods],
        teacher=teacher,
        teacher_cache=cache,
    )


def logged(trainer):
    return {line["step"]: line["loss"] for line in trainer.state.log_history if "loss" in line}


def test_a_killed_training_resumes_to_the_same_weights(tmp_path, data):
    """In the second epoch of six batches; workers that fetch ahead make no difference."""
    whole = trainer(tmp_path / "whole", data)
    whole.train()
    killed = trainer(tmp_path / "run", data, callbacks=[KillAt(10)], dataloader_num_workers=1)
    with pytest.raises(KilledError):
        killed.train()
    resumed = trainer(tmp_path / "run", data, dataloader_num_workers=1)
    assert resumed.last_checkpoint().endswith("checkpoint-8")
    resumed.train(resume_from_checkpoint=True)
    assert distance(weights(whole.model), weights(resumed.model)) == 0
    assert distance(weights(whole.model), weights(model())) > 1e-3
    assert logged(whole) == logged(resumed)


def test_a_text_gets_another_mask_in_another_epoch(tmp_path, data):
    ours = trainer(tmp_path, data, save_strategy="no", num_train_epochs=2, max_steps=-1)
    masks = {}
    collate = ours.data_collator

    def watched(rows):
        batch = collate(rows)
        for row, labels in zip(rows, batch["labels"].tolist(), strict=True):
            masks.setdefault(tuple(row["input_ids"]), set()).add(tuple(labels))
        return batch

    ours.data_collator = watched
    ours.train()
    assert len(masks) == len(data.train)
    assert sum(len(found) > 1 for found in masks.values()) > 0.8 * len(masks)


def test_answers_to_masked_texts_cannot_be_stored(tmp_path, data):
    ours = {"methods": ("logits",), "teacher": teacher_of(model()), "cache": tmp_path / "answers"}
    with pytest.raises(ConfigError, match="input_ids of example 0 are others when it is alone"):
        trainer(tmp_path, data, **ours)
    assert not list(tmp_path.glob("answers/*"))
    plain = load_data(
        DataConfig(name="synthetic-text", max_length=8, train_samples=20),
        task="text-classification",
        processor=word_tokenizer(VOCABULARY),
    )
    assert len({len(ids) for ids in plain.train["input_ids"]}) > 1
    trainer(tmp_path, plain, **ours)
    assert len(list(tmp_path.glob("answers/*.safetensors"))) == 1


def test_a_teacher_of_masked_tokens_teaches(tmp_path, data):
    ours = trainer(tmp_path, data, methods=("logits",), teacher=teacher_of(model()), max_steps=3)
    ours.train()
    assert {"loss_soft_targets", "loss_task"} <= set(ours.state.log_history[0])
