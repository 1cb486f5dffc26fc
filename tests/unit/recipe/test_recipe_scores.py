"""Costly scores of a recipe lie beside its parts: what starts again takes no Hessian again."""

from pathlib import Path

import pytest
import yaml

from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.scoring.hessian import BlockHessians

SMOKE = Path(__file__).parents[3] / "recipes" / "smoke" / "hessian_mixed.yaml"
TRAIN = {"max_steps": 2, "per_device_train_batch_size": 4}


def recipe(train, **config):
    values = yaml.safe_load(SMOKE.read_text())
    few = {"bits": [2, 3], "groups": 16, "runs": 2, "num_samples": 8, **config}
    stage = {"method": "hessian_mixed", "config": few, "train": train}
    values["stages"] = [{key: value for key, value in stage.items() if value is not None}]
    return parse_recipe(values | {"export": {"onnx": False}})


@pytest.mark.filterwarnings("ignore:the gradient promises")  # of random models
@pytest.mark.parametrize("train", [TRAIN, None])
def test_a_stage_of_other_groups_takes_the_same_sensitivities(tmp_path, monkeypatch, train):
    taken, plain = [], BlockHessians.times
    monkeypatch.setattr(
        BlockHessians, "times", lambda self, vectors: taken.append(1) or plain(self, vectors)
    )
    run_recipe(recipe(train), tmp_path / "out")
    assert taken
    taken.clear()
    run_recipe(recipe(train, groups=8), tmp_path / "out")
    assert not taken
    assert len(list((tmp_path / "out" / ".stages" / "scores").iterdir())) == 1
