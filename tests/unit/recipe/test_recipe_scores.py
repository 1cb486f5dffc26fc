"""Costly scores of a recipe lie beside its parts: what starts again takes no Hessian again."""

from pathlib import Path

import pytest
import yaml

from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.scoring.hessian import BlockHessians

pytestmark = pytest.mark.filterwarnings("ignore:the gradient promises")  # of random models
SMOKE = Path(__file__).parents[3] / "recipes" / "smoke" / "hessian_mixed.yaml"
TRAIN = {"max_steps": 2, "per_device_train_batch_size": 4}


def recipe(train, *, cache_scores=None, **config):
    values = yaml.safe_load(SMOKE.read_text())
    few = {"bits": [2, 3], "groups": 16, "runs": 2, "num_samples": 8, **config}
    stage = {"method": "hessian_mixed", "config": few, "train": train, "cache_scores": cache_scores}
    values["stages"] = [{key: value for key, value in stage.items() if value is not None}]
    return parse_recipe(values | {"export": {"onnx": False}})


@pytest.fixture
def taken(monkeypatch):
    """An entry for each product with a Hessian."""
    taken, plain = [], BlockHessians.times
    monkeypatch.setattr(
        BlockHessians, "times", lambda self, vectors: taken.append(1) or plain(self, vectors)
    )
    return taken


@pytest.mark.parametrize("train", [TRAIN, None])
def test_a_stage_of_other_groups_takes_the_same_sensitivities(tmp_path, taken, train):
    run_recipe(recipe(train), tmp_path / "out")
    assert taken
    taken.clear()
    run_recipe(recipe(train, groups=8), tmp_path / "out")
    assert not taken
    assert len(list((tmp_path / "out" / ".stages" / "scores").iterdir())) == 1


def test_recipes_share_sensitivities_in_a_folder(tmp_path, taken):
    """With a training of as large batches and without one they are of the same examples."""
    shared, train = str(tmp_path / "shared"), {**TRAIN, "per_device_train_batch_size": 32}
    run_recipe(recipe(train, cache_scores=shared), tmp_path / "trained")
    assert taken
    taken.clear()
    run_recipe(recipe(None, cache_scores=shared, order="reversed"), tmp_path / "as-it-is")
    assert not taken
    assert len(list((tmp_path / "shared").iterdir())) == 1
    assert not (tmp_path / "trained" / ".stages" / "scores").exists()
