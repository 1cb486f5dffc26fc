"""A stage may train without a model's dropout; the result keeps its config's."""

import json
import re

import pytest
import yaml
from torch import nn

from nlpcompress.errors import ConfigError
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.training import CompressionTrainer

TRAINED = {"method": "fine_tune", "train": {"max_steps": 1}}


def recipe(*stages):
    values = yaml.safe_load(find_recipe("smoke/logits").read_text())
    values["model"]["config"] |= {"hidden_dropout_prob": 0.25}
    values["stages"] = list(stages)
    return parse_recipe(values | {"export": {"onnx": False}, "bench": {"rounds": 1}})


def test_dropout_is_the_stages_while_it_trains(tmp_path, monkeypatch):
    seen, plain = [], CompressionTrainer.train

    def noting(self, *args, **kwargs):
        seen.append({m.p for m in self.model.modules() if isinstance(m, nn.Dropout)})
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(CompressionTrainer, "train", noting)
    run_recipe(recipe(TRAINED | {"dropout": 0.0}, TRAINED), tmp_path)
    assert seen[0] == {0.0} and 0.25 in seen[1]
    assert json.loads((tmp_path / "config.json").read_text())["hidden_dropout_prob"] == 0.25


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (TRAINED | {"dropout": 1.0}, "stages.0.dropout"),
        (
            {"method": "head_importance", "dropout": 0.0},
            "stages.0.dropout: this stage trains nothing; give it a train block or leave it out",
        ),
    ],
)
def test_all_of_it_or_without_a_training_is_refused(stage, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        recipe(stage)
