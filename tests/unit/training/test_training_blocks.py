"""Examples drawn together: whole runs in a batch, every example once, found again on resuming."""

import pytest
import torch

from nlpcompress.training import CompressionTrainer
from nlpcompress.training.blocks import Blocks
from tests.unit.training.training_tiny import VOCABULARY, arguments, distance, tiny_bert, weights


class Pairs(torch.utils.data.Dataset):
    """Both rows of a pair begin with the number of the pair."""

    def __len__(self):
        return 24

    def __getitem__(self, row):
        ids = torch.randint(4, VOCABULARY, (6,), generator=torch.manual_seed(row))
        return {"input_ids": torch.cat([torch.tensor([row // 2]), ids]), "labels": row % 2}


def _collate(rows):
    ids = torch.stack([row["input_ids"] for row in rows])
    return {"input_ids": ids, "labels": torch.tensor([row["labels"] for row in rows])}


def _trainer(folder, together, **values):
    """And the pairs in each batch that its model is given."""
    model, seen = tiny_bert(), []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"][:, 0].tolist()), with_kwargs=True
    )
    trainer = CompressionTrainer(
        model,
        arguments(folder, max_steps=10, logging_steps=1, **values),
        train_dataset=Pairs(),
        data_collator=_collate,
        together=together,
    )
    return trainer, seen


def test_an_epoch_has_every_example_once_and_an_order_of_its_own():
    sampler = Blocks(24, size=2, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert len(sampler) == 24 and sorted(first) == sorted(second) == list(range(24))
    assert first != second
    sampler.set_epoch(0)
    torch.rand(5)  # the global random state does not matter
    assert list(sampler) == first


@pytest.mark.parametrize("size", [2, 3, 5])
def test_runs_stay_whole_and_a_shorter_one_comes_last(size):
    order = list(Blocks(23, size=size, seed=0))
    whole = 23 // size * size
    runs = [order[start : start + size] for start in range(0, whole, size)]
    assert all(run == list(range(run[0], run[0] + size)) and run[0] % size == 0 for run in runs)
    assert order[whole:] == list(range(whole, 23))
    assert runs != sorted(runs)


def test_pairs_share_a_batch_of_a_training(tmp_path):
    trainer, seen = _trainer(tmp_path, 2)
    trainer.train()
    assert len(seen) == 10
    assert all(batch[::2] == batch[1::2] for batch in seen)


def test_without_it_pairs_are_drawn_apart(tmp_path):
    trainer, seen = _trainer(tmp_path, 1)
    trainer.train()
    assert not all(sorted(batch)[::2] == sorted(batch)[1::2] for batch in seen)


def test_a_resumed_second_epoch_goes_on_with_the_same_pairs(tmp_path):
    whole, _ = _trainer(tmp_path / "whole", 2, save_strategy="steps", save_steps=8)
    whole.train()
    resumed, _ = _trainer(tmp_path / "again", 2)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-8"))
    assert distance(weights(whole.model), weights(resumed.model)) == 0
