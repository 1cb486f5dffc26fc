"""A stage on pictures may train with channels last in memory: the same numbers, elsewhere."""

import re

import pytest
import torch
import yaml
from safetensors.torch import load_file

from nlpcompress.errors import ConfigError
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.training import CompressionTrainer

TRAIN = {
    "max_steps": 2,
    "learning_rate": 1e-2,
    "optim": "sgd",
    "per_device_train_batch_size": 8,
    "save_strategy": "steps",
    "save_steps": 1,
}


def recipe(*, task="image-classification", **stage):
    values = yaml.safe_load(find_recipe("smoke/channels").read_text())
    values["model"]["task"] = task
    taught = {"method": "logits", "train": TRAIN} | stage
    values["stages"] = [{"method": "channels", "config": {"keep": 0.5}}, taught]
    return parse_recipe(values | {"export": {"onnx": False}, "bench": {"rounds": 1}})


def filters(model):
    return [p for p in model.parameters() if p.dim() == 4 and min(p.shape[1], p.shape[2]) > 1]


def test_both_networks_lie_so_while_they_train_and_the_result_is_the_same(tmp_path, monkeypatch):
    seen, plain = [], CompressionTrainer.train

    def noting(self, *args, **kwargs):
        for model in (self.model, self.teacher):
            seen.append({p.is_contiguous() for p in filters(model)})
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(CompressionTrainer, "train", noting)
    weights = []
    for turned in (False, True):
        out = tmp_path / str(turned)
        run_recipe(recipe(channels_last=turned), out)
        weights.append(load_file(out / "model.safetensors"))
    assert seen == [{True}, {True}, {False}, {False}]
    for name, values in weights[0].items():
        torch.testing.assert_close(values, weights[1][name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"task": "text-classification"},
            "stages.1.channels_last: text-classification has no channels; leave it out",
        ),
        (
            {"train": None, "method": "channels", "config": {"keep": 0.5}},
            "stages.1.channels_last: this stage trains nothing; give it a train block",
        ),
    ],
)
def test_where_it_does_nothing_it_is_refused(changes, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        recipe(channels_last=True, **changes)
