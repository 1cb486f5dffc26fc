"""Rows of many lengths, with labels for some of their tokens, and a tiny model that tells them."""

import copy

import datasets
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertForTokenClassification

VOCABULARY, LONGEST = 50, 12


class RaggedTokens(torch.utils.data.Dataset):
    """Of 2 to 12 tokens; about half of them, and always the first, have a label."""

    def __init__(self, count=48):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        generator = torch.Generator().manual_seed(row)
        ids = torch.randint(4, VOCABULARY, (2 + (5 * row) % 11,), generator=generator)
        known = torch.rand(ids.shape, generator=generator) < 0.5
        known[0] = True
        return {"input_ids": ids, "labels": torch.where(known, ids % 3, -100)}


def table(data):
    """The same rows as a table, of which the lengths are known beforehand."""
    rows = [
        {name: values.tolist() for name, values in data[row].items()} for row in range(len(data))
    ]
    return datasets.Dataset.from_list(rows).with_format("torch")


def collate(rows):
    ids, labels = ([row[name] for row in rows] for name in ("input_ids", "labels"))
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
    }


def token_bert(seed=0):
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=LONGEST,
        num_labels=3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForTokenClassification(config)


def other(model):
    """A teacher of the same shape and other weights."""
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in teacher.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            parameter.add_(0.1 * noise)
    return teacher
