"""Batches of like length: rows of like length together, in an order that can be found again."""

import dataclasses

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from nlpcompress.training import CompressionTrainer
from nlpcompress.training.length_groups import LengthGroups
from tests.unit.training.training_tiny import VOCABULARY, arguments, distance, tiny_bert, weights

OLD = "group_by_length" in {field.name for field in dataclasses.fields(TrainingArguments)}
GROUPED = {"group_by_length": True} if OLD else {"train_sampling_strategy": "group_by_length"}
LENGTHS = [2 + (7 * row) % 23 for row in range(48)]


class Texts(torch.utils.data.Dataset):
    """Of many lengths."""

    def __len__(self):
        return len(LENGTHS)

    def __getitem__(self, row):
        ids = torch.randint(4, VOCABULARY, (LENGTHS[row],), generator=torch.manual_seed(row))
        return {"input_ids": ids, "labels": ids[0] % 3}


def _collate(rows):
    ids = pad_sequence([row["input_ids"] for row in rows], batch_first=True)
    return {"input_ids": ids, "labels": torch.stack([row["labels"] for row in rows])}


def _train(folder, resume=None, **values):
    trainer = CompressionTrainer(
        tiny_bert(),
        arguments(folder, max_steps=15, logging_steps=1, **GROUPED, **values),
        train_dataset=Texts(),
        data_collator=_collate,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_an_epoch_has_every_row_once_and_an_order_of_its_own():
    sampler = LengthGroups(LengthGroupedSampler(4, lengths=LENGTHS), seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(48))
    assert first != second
    sampler.set_epoch(0)
    torch.rand(5)  # the global random state does not matter
    assert list(sampler) == first


def test_batches_have_rows_of_like_length():
    sampler = LengthGroups(LengthGroupedSampler(4, lengths=LENGTHS), seed=1)
    order = [LENGTHS[row] for row in sampler]
    spread = [max(order[i : i + 4]) - min(order[i : i + 4]) for i in range(0, 48, 4)]
    assert sum(spread) / len(spread) < 7  # of unsorted rows about 14


def test_a_resumed_second_epoch_goes_on_with_the_same_rows(tmp_path):
    whole = _train(tmp_path / "whole", save_strategy="steps", save_steps=9)
    resumed = _train(tmp_path / "again", resume=str(tmp_path / "whole" / "checkpoint-9"))
    assert len(resumed.state.log_history) > 3
    assert distance(weights(whole.model), weights(resumed.model)) == 0
