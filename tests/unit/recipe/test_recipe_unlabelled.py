"""A stage that learns a teacher's answers to texts without labels, beside the data's own."""

import json
import re

import pytest
import yaml

from nlpcompress.errors import ConfigError, DataError
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.shipped import find_recipe

MORE = {"name": "synthetic-text", "train_samples": 20}
TAUGHT = {
    "method": "logits",
    "config": {"alpha_task": 0.0},
    "train": {"max_steps": 3, "per_device_train_batch_size": 16},
}
CUT = {"method": "head_importance", "config": {"keep": 0.5}}


def recipe(*stages, task="text-classification", **data):
    values = yaml.safe_load(find_recipe("smoke/logits").read_text())
    values["model"]["task"] = task
    values["data"] = {"name": "synthetic-text", "max_length": 16, "train_samples": 40} | data
    values["stages"] = [CUT, *stages]
    return parse_recipe(values | {"export": {"onnx": False}, "bench": {"rounds": 1}})


def epochs(out):
    """Of the three steps: 48 rows."""
    done = [json.loads(path.read_text()) for path in out.glob(".stages/*/done.json")]
    log = next(record["log"] for record in done if record.get("method") == "logits")
    return log[-1]["epoch"]


@pytest.mark.parametrize("cache", [False, True])
def test_texts_and_their_copies_are_answered_by_the_teacher_alone(tmp_path, cache):
    stage = TAUGHT | {"unlabelled": MORE, "cache_teacher": cache}
    run_recipe(recipe(stage), tmp_path / "more")
    assert epochs(tmp_path / "more") == pytest.approx(3 / 4)  # 60 rows are 4 steps
    copied = stage | {"replace_tokens": {"copies": 1, "mask_probability": 0.5}}
    run_recipe(recipe(copied), tmp_path / "copied")
    assert epochs(tmp_path / "copied") == pytest.approx(3 / 8)  # 120 are 8


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (
            TAUGHT | {"config": {"alpha_ce": 0.7}},
            "stages.1.unlabelled: these texts have no labels, and labels weigh 0.3 in this stage; "
            "write alpha_task: 0",
        ),
        (
            TAUGHT | {"also": [{"method": "features", "config": {"alpha_task": 2.0}}]},
            "stages.1.unlabelled: these texts have no labels, and labels weigh 2 in this stage",
        ),
        (
            {"method": "fine_tune", "train": TAUGHT["train"]},
            "stages.1.unlabelled: no method of this stage learns from a teacher; leave it out",
        ),
        (
            TAUGHT | {"unlabelled": {"name": "fashion-mnist"}},
            "stages.1.unlabelled: data set 'fashion-mnist' serves image-classification",
        ),
        (
            TAUGHT | {"also": [{"config": {}}]},
            "stages.1.also.0.method",
        ),
        (CUT, "stages.1.unlabelled: the stage does not train; give it a train block"),
    ],
)
def test_where_no_teacher_answers_alone_it_is_refused(stage, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        recipe({"unlabelled": MORE} | stage)


def test_texts_that_are_not_there_are_told_before_any_work(tmp_path):
    absent = {"name": "other-ratings", "path": str(tmp_path / "nowhere")}
    with pytest.raises(DataError, match="nowhere"):
        run_recipe(recipe(TAUGHT | {"unlabelled": absent}), tmp_path / "out")
    assert not list((tmp_path / "out").glob(".stages/*/model"))


def test_pairs_beside_single_texts_are_told_before_any_work(tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("sentence1,sentence2\nrain,sun\nwind,snow\n")
    more = {"name": "csv", "files": {"train": str(pairs)}}
    with pytest.raises(DataError, match=r"'csv' has 2 text\(s\) a row"):
        run_recipe(recipe(TAUGHT | {"unlabelled": more}), tmp_path / "out")
    assert not list((tmp_path / "out").glob(".stages/*/model"))


def test_it_is_for_tasks_on_texts():
    with pytest.raises(ConfigError, match=r"stages\.1\.unlabelled: goes with text-classification"):
        recipe(TAUGHT | {"unlabelled": MORE}, task="image-classification", name="digits")
