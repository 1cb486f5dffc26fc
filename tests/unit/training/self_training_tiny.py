"""Texts of two classes with words of their own: eight are labelled, the rest is not."""

import torch
from torch.utils.data import default_collate

from nlpcompress.training.self_training.config import SelfTrainingConfig
from nlpcompress.training.self_training.data import SelfTrainingData
from tests.unit.training.training_tiny import arguments, tiny_bert

MASK, SPECIAL = 3, (0, 1, 2, 3)


class Words:
    """What `self_train` asks of a tokenizer."""

    mask_token_id, all_special_ids = MASK, list(SPECIAL)

    def __len__(self):
        return 50


class Texts(torch.utils.data.Dataset):
    """Class 0 says words 4-23, class 1 words 24-43, both say 44-49."""

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(count) % 2
        own = torch.randint(20, (count, 8), generator=generator) + 4 + 20 * self.labels[:, None]
        common = torch.randint(44, 50, (count, 8), generator=generator)
        self.ids = torch.where(torch.rand(count, 8, generator=generator) < 0.7, own, common)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        ids = self.ids[index]
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": self.labels[index],
        }


class Unlabelled(Texts):
    def __getitem__(self, index):
        return {key: value for key, value in super().__getitem__(index).items() if key != "labels"}


def student():
    return tiny_bert(num_labels=2, seed=0, dropout=0.1)


def data(labelled=8, unlabelled=256):
    return SelfTrainingData(Texts(labelled, 1), Unlabelled(unlabelled, 2), default_collate, Words())


def config(**values):
    return SelfTrainingConfig(**{"rounds": 2, "threshold": 0.6, "survival": 1.0, **values})


@torch.no_grad()
def accuracy(model):
    test = Texts(400, 3)
    model.eval()
    logits = model(input_ids=test.ids).logits
    return float((logits.argmax(-1) == test.labels).float().mean())


__all__ = ["Texts", "Unlabelled", "Words", "accuracy", "arguments", "config", "data", "student"]
