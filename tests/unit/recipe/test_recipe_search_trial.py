"""A trial: the recipe that a point makes, and what its report says it costs."""

from pathlib import Path

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.search.trial import final_values, judged, trial_values
from tests.unit.recipe.searches import HEADS, LAST, recipe, report


def trial_of(recipe, settings, *, shared=1, start=Path("search/start")):
    return trial_values(recipe, settings, shared=shared, start=start, folder=Path("search"))


def test_a_trial_is_the_rest_of_the_recipe_on_part_of_the_training_rows():
    found = trial_of(recipe(), {HEADS: 0.75, LAST: None})
    assert [stage["method"] for stage in found["stages"]] == [
        "head_importance",
        "neuron_importance",
    ]
    assert found["stages"][0]["config"]["keep"] == 0.75
    assert found["model"]["id"] == "search/start"
    assert (found["data"]["validation"], found["evaluate"]["before"]) == (True, False)
    assert found["evaluate"]["row"] == "compressed"
    assert "search" not in found


ORT, BOTH = ["onnxruntime", "torch"], ["openvino", "onnxruntime"]


@pytest.mark.parametrize(
    ("quantize", "runtimes", "row", "left"),
    [
        ("auto", ORT, "compressed-int8", ("dynamic-int8", ["onnxruntime"])),
        ("auto", ORT, "compressed", ("none", ["onnxruntime"])),
        ("auto", BOTH, "compressed-static-int8-openvino", ("static-int8", ["openvino"])),
        ("auto", ORT, "compressed-int8-openvino", ("auto", ORT)),
        ("static-int8", BOTH, "compressed-int8", ("static-int8", BOTH)),
        ("auto", ORT, "compressed-torch", ("auto", ORT)),
        ("auto", ORT, "smallest", ("auto", ORT)),
    ],
)
def test_trials_export_no_more_than_their_row_takes(quantize, runtimes, row, left):
    values = recipe().to_json()
    values["export"] = {"onnx": True, "quantize": quantize, "runtimes": runtimes}
    values["search"]["row"] = row
    found = trial_of(parse_recipe(values), {})["export"]
    assert (found["quantize"], found["runtimes"]) == left
    whole = final_values(parse_recipe(values), {})["export"]
    assert (whole["quantize"], whole["runtimes"]) == (quantize, runtimes)


@pytest.mark.parametrize("row", ["compressed", "compressed-int8", "compressed-static-int8"])
def test_what_an_export_says_of_other_files_does_not_stop_a_trial(row):
    said = {"per_channel": False, "calibration_samples": 64, "max_metric_drop": 0.01}
    values = recipe().to_json()
    values["export"] = {"onnx": True, "quantize": "auto", **said}
    values["search"]["row"] = row
    export = parse_recipe(trial_of(parse_recipe(values), {})).export
    assert (export.max_metric_drop is None) == (row == "compressed")
    assert (export.calibration_samples == 64) == (row == "compressed-static-int8")


def test_a_trial_times_the_model_before_only_where_the_search_compares_with_it():
    for search in ({"objective": "latency_ratio"}, {"budget": {"latency_ratio": 0.5}}):
        found = trial_of(recipe(**search), {})
        assert found["evaluate"]["before"] == "timed"


def test_trials_share_what_is_costly_wherever_it_is_stored():
    values = recipe().to_json()
    values["stages"][3]["cache_teacher"] = True
    values["stages"][1]["cache_scores"] = "mine"
    for start in (Path("search/start"), None):
        found = trial_of(parse_recipe(values), {}, start=start)["stages"]
        assert [stage["cache_teacher"] for stage in found] == [False, False, "search/answers"]
        assert [stage["cache_scores"] for stage in found] == ["mine", "search/scores", None]


def test_a_stage_whose_method_is_chosen_begins_with_its_defaults():
    chosen = {"stages.2.config.keep": 0.25, "stages.2.method": "head_importance"}
    stage = trial_of(recipe(), chosen, shared=0, start=None)["stages"][2]
    assert (stage["method"], stage["config"]) == ("head_importance", {"keep": 0.25})


def test_the_last_run_is_judged_on_the_test_set():
    found = final_values(recipe(), {HEADS: 0.75})
    assert found["data"]["validation"] is False
    assert len(found["stages"]) == 4
    assert recipe().stages[1].config["keep"] == 0.5, "the recipe itself is left alone"


def test_without_the_model_before_there_is_no_drop():
    """A drop from itself would be none, and hold every bound."""
    found = judged(recipe(budget={"parameters": 5}), report(0.8, 100), None)
    assert "metric_drop" not in found
    with pytest.raises(ConfigError, match="compressed was not measured for metric_drop"):
        judged(recipe(), report(0.8, 100), None)


def test_a_trial_is_judged_against_the_model_that_all_start_from():
    found = judged(recipe(), report(0.8, 100), {"accuracy": 0.9})
    assert found == {
        "metric": 0.8,
        "metric_drop": pytest.approx(0.1),
        "parameters": 100,
        "latency_ms": 3.0,
    }
    with pytest.raises(ConfigError, match=r"search\.row: the report has no small, but compressed"):
        judged(recipe(row="small"), report(0.8, 100), None)
    with pytest.raises(ConfigError, match="compressed was not measured for macs"):
        judged(recipe(budget={"macs": 5}), report(0.8, 100), None)
