"""Mixup: what a batch becomes, and where."""

import math
import pickle

import pytest
import torch

from nlpcompress.data.config import DataConfig, MixupConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.pictures.mixup import SOFT_LABELS, MixupCollate
from nlpcompress.errors import ConfigError, DataError

CLASSES = 3


def plain(rows):
    pixels = torch.stack([torch.full((1, 2, 2), float(row)) for row in rows])
    return {"pixel_values": pixels, "labels": torch.tensor([row % CLASSES for row in rows])}


def mixed(rows, seed=0, alpha=1.0):
    torch.manual_seed(seed)
    return MixupCollate(plain, MixupConfig(alpha=alpha), CLASSES)(rows)


def test_pictures_and_labels_are_mixed_alike():
    rows = list(range(8))
    batch = mixed(rows)
    soft = batch[SOFT_LABELS]
    assert torch.allclose(soft.sum(1), torch.ones(8))
    assert torch.equal(batch["labels"], soft.argmax(1))
    torch.manual_seed(0)
    weight = torch.distributions.Beta(1.0, 1.0).sample().item()
    order = torch.randperm(8).tolist()
    for row, other in enumerate(order):
        expected = weight * row + (1 - weight) * other
        assert batch["pixel_values"][row].unique().item() == pytest.approx(expected)
        own, theirs = (torch.eye(CLASSES)[r % CLASSES] for r in (row, other))
        assert torch.allclose(soft[row], weight * own + (1 - weight) * theirs)


def test_the_shares_follow_the_beta_distribution():
    """Of Beta(α, α): mean 1/2, variance 1 / (4 (2α + 1)); 4 standard errors of 2,000 draws."""
    for alpha in (0.2, 1.0):
        shares = []
        for seed in range(2000):
            pixels = mixed([0, 1], seed, alpha)["pixel_values"]
            if pixels[0, 0, 0, 0] != 0:  # else the order is that of the batch
                shares.append(1 - pixels[0, 0, 0, 0].item())
        shares = torch.tensor(shares)
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(shares.mean() - 0.5) < 4 * math.sqrt(variance / len(shares))
        assert shares.var().item() == pytest.approx(variance, rel=0.15)


def test_only_trainings_see_mixed_pictures_and_workers_get_the_same():
    config = {"name": "digits", "mixup": {"alpha": 1.0}, "randaugment": {"magnitude": 15}}
    data = load_data(DataConfig.parse(config), task="image-classification", processor=None)
    rows = [data.train[i] for i in range(8)]
    assert SOFT_LABELS not in data.collate(rows) and SOFT_LABELS in data.train_collate(rows)
    unchanged = data.train_collate.unchanged(rows)
    assert torch.equal(unchanged["pixel_values"], data.collate(rows)["pixel_values"])
    runs = []
    for collate in (data.train_collate, pickle.loads(pickle.dumps(data.train_collate))):
        torch.manual_seed(0)
        runs.append(collate(rows)["pixel_values"])
    assert torch.equal(*runs)


def test_what_cannot_be_is_told():
    with pytest.raises(ConfigError, match="alpha"):
        DataConfig.parse({"name": "digits", "mixup": {"alpha": 0}})
    text = DataConfig(name="synthetic-text", mixup=MixupConfig())
    with pytest.raises(DataError, match=r"data\.mixup goes with model\.task image-class"):
        load_data(text, task="text-classification", processor=None)
