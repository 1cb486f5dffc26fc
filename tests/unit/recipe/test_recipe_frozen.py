"""A stage may leave weights as they are: no gradient, no room in the optimizer, no change."""

import re

import pytest
import yaml
from safetensors.torch import load_file

from nlpcompress.errors import ConfigError
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.training import CompressionTrainer

TABLES = "*embeddings.*_embeddings.*"


def recipe(freeze, **changes):
    values = yaml.safe_load(find_recipe("smoke/logits").read_text())
    train = {"max_steps": 2, "learning_rate": 1e-2, "per_device_train_batch_size": 4}
    first = {"method": "fine_tune", "train": train}
    values["stages"] = [first, first | {"freeze": freeze} | changes]
    return parse_recipe(values | {"export": {"onnx": False}, "bench": {"rounds": 1}})


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path, monkeypatch):
    optimized, plain = [], CompressionTrainer.create_optimizer

    def noting(self, *args, **kwargs):
        made = plain(self, *args, **kwargs)
        optimized.append(sum(len(group["params"]) for group in made.param_groups))
        return made

    monkeypatch.setattr(CompressionTrainer, "create_optimizer", noting)
    run_recipe(recipe([TABLES]), tmp_path / "out")
    folders = [path.parent for path in (tmp_path / "out" / ".stages").glob("*/model/config.json")]
    tables = {}
    weights = load_file(tmp_path / "out" / "model.safetensors")
    for folder in folders:
        before = load_file(folder / "model.safetensors")
        for name in (name for name in weights if "_embeddings." in name):
            tables.setdefault(name, []).append(bool((before[name] == weights[name]).all()))
    assert len(tables) == 3
    assert all(sorted(same) == [False, True, True] for same in tables.values())  # of the start, too
    assert optimized[0] - optimized[1] == 3


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (
            ["*word_embedings*"],
            "stages.1.freeze.0: '*word_embedings*' matches no weight of 'random'",
        ),
        (["classifier.*", "bert.*"], "stages.1.freeze: leaves nothing to train"),
    ],
)
def test_a_pattern_is_checked_before_any_work(tmp_path, patterns, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        run_recipe(recipe(patterns), tmp_path / "out")
    assert not list((tmp_path / "out").glob(".stages/*/model"))


def test_without_a_training_nothing_can_be_left_alone():
    cut = {"method": "head_importance", "config": {"keep": 0.5}, "train": None}
    with pytest.raises(ConfigError, match=r"stages\.1\.freeze: this stage trains nothing; give it"):
        recipe([TABLES], **cut)
