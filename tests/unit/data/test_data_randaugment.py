"""RandAugment: each operation by its definition, the draws, and where it acts."""

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from nlpcompress.data.config import DataConfig, RandAugmentConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.pictures.operations import OPERATIONS, SIGNED
from nlpcompress.data.pictures.randaugment import OFFERED, RandAugment
from nlpcompress.errors import ConfigError, DataError

AUGMENTED = {"name": "digits", "randaugment": {"num_ops": 2, "magnitude": 15}}


def picture(side=20, channels=3, seed=0):
    shape = (side, side, channels)
    return np.random.default_rng(seed).integers(30, 200, shape).astype(np.uint8)


def applied(name, strength, pixels):
    grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[:, :, 0] if grey else pixels)
    return np.asarray(OPERATIONS[name](image, strength)).astype(int)


def test_there_are_the_papers_fourteen():
    assert len(OFFERED) == 14 and set(OFFERED) ^ set(OPERATIONS) == {"identity", "invert"}


def test_shifts_move_pixels_and_leave_black():
    pixels = picture()
    moved = applied("translate_x", 1 / 3, pixels)  # 15 % of 20 pixels
    assert (moved[:, :-3] == pixels[:, 3:]).all() and (moved[:, -3:] == 0).all()
    moved = applied("translate_y", -1 / 3, pixels)
    assert (moved[3:] == pixels[:-3]).all() and (moved[:3] == 0).all()


def test_shears_move_each_row_by_its_height():
    pixels = np.full((21, 21, 1), 100, np.uint8)
    left = (applied("shear_x", 1.0, pixels) > 0).sum(1)
    expected = 21 - 0.3 * (np.arange(21) + 0.5)
    assert np.abs(left - expected).max() <= 1
    assert ((applied("shear_y", 1.0, pixels) > 0).sum(0) == left).all()


def test_a_rotation_there_and_back_keeps_the_middle():
    pixels = picture(41)
    there = applied("rotate", 1.0, pixels)
    assert (there[20, 20] == pixels[20, 20]).all() and (there != pixels).any()
    assert (applied("rotate", 0.0, pixels) == pixels).all()


def test_brightness_contrast_and_colour_by_their_formulas():
    pixels = picture()
    brighter = applied("brightness", 0.5, pixels)
    assert np.abs(brighter - np.clip(1.45 * pixels, 0, 255)).max() <= 1
    grey = (pixels @ [0.299, 0.587, 0.114])[:, :, None]
    paler = applied("color", -1.0, pixels)
    assert np.abs(paler - (0.1 * pixels + 0.9 * grey)).max() <= 2
    flatter = applied("contrast", -1.0, pixels)
    assert np.abs(flatter - (0.1 * pixels + 0.9 * grey.mean())).max() <= 2


def test_posterize_solarize_and_the_histograms():
    pixels = picture(channels=1)
    assert (applied("posterize", 1.0, pixels) == (pixels[:, :, 0] & 0b11110000)).all()
    assert (applied("posterize", 0.0, pixels) == pixels[:, :, 0]).all()
    half = applied("solarize", 0.5, pixels)
    expected = np.where(pixels[:, :, 0] >= 128, 255 - pixels[:, :, 0].astype(int), pixels[:, :, 0])
    assert (half == expected).all()
    spread = applied("auto_contrast", 0.0, pixels)
    assert spread.min() == 0 and spread.max() >= 253
    assert (applied("invert", 0.0, pixels) == 255 - pixels[:, :, 0].astype(int)).all()
    level = applied("equalize", 0.0, picture(64, channels=1))
    assert np.ptp(np.histogram(level, 4, (0, 256))[0]) < 64 * 64 / 10


def test_no_strength_changes_only_what_has_none():
    for name in set(OPERATIONS) - {"auto_contrast", "equalize", "invert", "sharpness"}:
        assert (applied(name, 0.0, picture()) == picture()).all(), name


@pytest.mark.parametrize("channels", [1, 3])
def test_the_seed_draws_and_shapes_stay(channels):
    change = RandAugment(RandAugmentConfig(num_ops=3, magnitude=20))
    pixels = [picture(channels=channels, seed=s) for s in range(30)]
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append([change(p) for p in pixels])
    assert all((a == b).all() for a, b in zip(runs[0], runs[1], strict=True))
    assert not all((a == b).all() for a, b in zip(runs[0], runs[2], strict=True))
    assert {p.shape for p in runs[0]} == {(20, 20, channels)}
    assert {p.dtype for p in runs[0]} == {np.dtype(np.uint8)}


def test_all_operations_and_both_signs_are_drawn(monkeypatch):
    seen = []
    for name in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, name, lambda p, s, name=name: seen.append((name, s)) or p)
    change = RandAugment(RandAugmentConfig(num_ops=2, magnitude=15))
    torch.manual_seed(0)
    for _ in range(300):
        change(picture(4))
    assert 500 < len(seen) < 600 and {name for name, _ in seen} == set(OPERATIONS) - {"invert"}
    assert {s for name, s in seen if name in SIGNED} == {-0.5, 0.5}
    assert {s for name, s in seen if name not in SIGNED} == {0.5}


def test_only_batches_of_trainings_are_changed():
    data = load_data(DataConfig.parse(AUGMENTED), task="image-classification", processor=None)
    plain = load_data(DataConfig(name="digits"), task="image-classification", processor=None)
    rows = [data.train[i] for i in range(16)]
    assert torch.equal(data.collate(rows)["pixel_values"], plain.collate(rows)["pixel_values"])
    changed = data.train_collate(rows)
    assert not torch.equal(changed["pixel_values"], data.collate(rows)["pixel_values"])
    assert torch.equal(changed["labels"], data.collate(rows)["labels"])
    assert plain.train_collate is plain.collate
    again = pickle.loads(pickle.dumps(data.train_collate))  # as workers of a DataLoader get it
    torch.manual_seed(0)
    one = again(copy.deepcopy(rows))
    torch.manual_seed(0)
    assert torch.equal(one["pixel_values"], data.train_collate(rows)["pixel_values"])


def test_what_cannot_be_is_told():
    with pytest.raises(ConfigError, match="magnitude"):
        DataConfig.parse({"name": "digits", "randaugment": {"magnitude": 31}})
    text = DataConfig(name="synthetic-text", randaugment=RandAugmentConfig())
    with pytest.raises(DataError, match=r"data\.randaugment goes with model\.task image-class"):
        load_data(text, task="text-classification", processor=None)
