"""AutoAugment's policies as published, their draws, and the crops and mirrors before them."""

from collections import Counter

import numpy as np
import pytest
import torch

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.pictures.autoaugment import POLICIES, AutoAugment, Step
from nlpcompress.data.pictures.changes import changes_of
from nlpcompress.data.pictures.operations import OPERATIONS, SIGNED
from nlpcompress.data.pictures.placing import Crop, Mirror
from nlpcompress.errors import ConfigError, DataError


def picture(side=12, channels=3):
    return np.random.default_rng(0).integers(1, 200, (side, side, channels)).astype(np.uint8)


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_are_25_pairs_of_known_operations(policy):
    pairs = POLICIES[policy]
    assert len(pairs) == 25
    for step in (step for pair in pairs for step in pair):
        assert step.name in OPERATIONS and 0 <= step.chance <= 1 and 0 <= step.magnitude <= 9
        if step.name in ("equalize", "auto_contrast", "invert"):
            assert step.magnitude == 0


def test_policies_are_those_of_their_data_sets():
    """Section 4: CIFAR-10's is mostly colour, SVHN's geometry and inverting; tables 7 to 9."""
    counts = {
        policy: Counter(step.name for pair in pairs for step in pair)
        for policy, pairs in POLICIES.items()
    }
    geometric = {
        policy: sum(n for name, n in count.items() if name.startswith(("shear", "trans", "rot")))
        for policy, count in counts.items()
    }
    assert geometric == {"cifar10": 10, "svhn": 23, "imagenet": 7}
    assert [counts[policy]["invert"] for policy in ("cifar10", "svhn", "imagenet")] == [3, 12, 3]
    assert POLICIES["cifar10"][1] == (Step("rotate", 0.7, 2), Step("translate_x", 0.3, 9))
    assert POLICIES["svhn"][0] == (Step("shear_x", 0.9, 4), Step("invert", 0.2))
    assert POLICIES["imagenet"][0] == (Step("posterize", 0.4, 8), Step("rotate", 0.6, 9))


def test_a_pair_is_drawn_and_each_step_by_its_chance(monkeypatch):
    seen = []
    for name in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, name, lambda p, s, name=name: seen.append((name, s)) or p)
    policy = (
        (Step("rotate", 0.25, 9), Step("equalize", 1.0)),
        (Step("color", 1.0, 3), Step("invert", 0.0)),
    )
    monkeypatch.setattr("nlpcompress.data.pictures.autoaugment.POLICIES", {"cifar10": policy})
    torch.manual_seed(0)
    change = AutoAugment("cifar10")
    for _ in range(2000):
        change(picture(4))
    drawn = Counter(name for name, _ in seen)
    assert drawn["equalize"] + drawn["color"] == 2000 and abs(drawn["color"] - 1000) < 100
    assert abs(drawn["rotate"] / drawn["equalize"] - 0.25) < 0.06 and drawn["invert"] == 0
    strengths = {name: {s for n, s in seen if n == name} for name in drawn}
    assert strengths["rotate"] == {-1.0, 1.0} and strengths["color"] == {-1 / 3, 1 / 3}
    assert strengths["equalize"] == {0.0} and "equalize" not in SIGNED


def test_crops_move_and_leave_black():
    torch.manual_seed(0)
    pixels, change, seen = picture(), Crop(2), set()
    padded = np.pad(pixels, ((2, 2), (2, 2), (0, 0)))
    for _ in range(300):
        cut = change(pixels)
        assert cut.shape == pixels.shape
        (place,) = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if (padded[top : top + 12, left : left + 12] == cut).all()
        ]
        seen.add(place)
    assert len(seen) == 25


def test_half_of_the_pictures_are_mirrored():
    torch.manual_seed(0)
    pixels = picture()
    mirrored = [bool((Mirror()(pixels) == pixels[:, ::-1]).all()) for _ in range(1000)]
    assert 450 < sum(mirrored) < 550


def test_a_config_names_what_changes_and_in_which_order():
    config = DataConfig.parse(
        {"name": "digits", "crop": 1, "flip": True, "autoaugment": "cifar10", "mixup": {}}
    )
    assert changes_of(config).parts == (Crop(1), Mirror(), AutoAugment("cifar10"))
    assert changes_of(DataConfig(name="digits")) is None
    data = load_data(config, task="image-classification", processor=None)
    rows = [data.train[i] for i in range(16)]
    plain = data.collate(rows)["pixel_values"]
    assert not torch.equal(data.train_collate(rows)["pixel_values"], plain)
    assert torch.equal(data.train_collate.unchanged(rows)["pixel_values"], plain)


def test_what_cannot_be_is_told():
    with pytest.raises(ConfigError, match=r"autoaugment.*cifar10.*svhn.*imagenet"):
        DataConfig.parse({"name": "digits", "autoaugment": "cifar100"})
    with pytest.raises(ConfigError, match="autoaugment svhn and randaugment both say"):
        DataConfig.parse({"name": "digits", "autoaugment": "svhn", "randaugment": {}})
    for key, value in (("crop", 4), ("flip", True), ("autoaugment", "svhn")):
        text = DataConfig.parse({"name": "synthetic-text", key: value})
        with pytest.raises(DataError, match=rf"data\.{key} goes with model\.task image-class"):
            load_data(text, task="text-classification", processor=None)
