"""What a search tells: its best trial, the nearest where none holds, and its page."""

import json

import optuna

from nlpcompress.core.budget import Budget
from nlpcompress.recipe.search.page import write_record
from nlpcompress.recipe.search.record import (
    ResultRecord,
    SearchRecord,
    TrialRecord,
    trial_records,
)
from nlpcompress.recipe.search.run import missed

TRIALS = (
    TrialRecord(number=0, state="complete", point={"a": 1}, costs={"metric": 0.9, "macs": 9}),
    TrialRecord(number=1, state="complete", point={"a": 2}, costs={"metric": 0.8, "macs": 5}),
    TrialRecord(number=2, state="complete", point={"a": 3}, costs={"metric": 0.7, "macs": 1}),
    TrialRecord(number=3, state="fail", point={"a": 4}, error="no", seconds=36.0),
)


def searched(trials=TRIALS, *, objective="metric", **values):
    return SearchRecord(
        trials=trials,
        budget=Budget(macs=5),
        objective=objective,
        greater_is_better=True,
        **values,
    )


def judged(costs):
    return tuple(
        TrialRecord(number=number, state="complete", point={}, costs=own)
        for number, own in enumerate(costs)
    )


def test_the_best_is_of_those_that_hold():
    assert searched().best.number == 1
    assert searched(objective="macs").best.number == 2
    assert searched(TRIALS[:1]).best is None


def test_the_nearest_breaks_its_bounds_least_all_together():
    budget = Budget(macs=4, metric_drop=0.1)
    costs = ({"macs": 4, "metric_drop": 0.3}, {"macs": 6, "metric_drop": 0.12})
    record = searched(judged(costs)).model_copy(update={"budget": budget})
    assert record.nearest.number == 1, "half and a fifth are less than twice"
    assert "the nearest, trial 1, has macs 6, metric_drop 0.12." in missed(record)


def test_the_time_of_a_trial_whose_worker_died_is_not_known():
    study = optuna.create_study()
    for error in (None, "cannot be cut"):
        trial = study.ask()
        if error:
            trial.set_user_attr("error", error)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    died, refused = trial_records(study)
    assert died.seconds is None and refused.seconds >= 0


def test_a_search_without_a_judged_trial_tells_why():
    assert "no trial could be judged: no" in missed(searched(TRIALS[3:]))


def test_the_page_tells_what_is_best_and_what_it_took(tmp_path):
    write_record(tmp_path, searched(watts=100.0, importances={"a": 1.0}))
    page = (tmp_path / "search.md").read_text()
    assert "**Trial 1 is best: metric 0.8, macs 5.**" in page
    assert "4 trials, 3 of them judged, in 36 s, about 0.001 kWh (an estimate)." in page
    assert "| 1 (best) | 2 | 0.8 | 5 | yes |  |  |" in page
    assert "| 3 | 4 |  |  | fail | 36.0 | 0.001 |" in page
    write_record(tmp_path / "co2", searched(watts=100.0, grams_per_kwh=380.0))
    assert (
        "about 0.001 kWh and 0.38 g of CO2 (estimates)."
        in (tmp_path / "co2" / "search.md").read_text()
    )
    assert (
        "| 3 | 4 |  |  | fail | 36.0 | 0.001 | 0.38 |"
        in (tmp_path / "co2" / "search.md").read_text()
    )
    *_, whole, failed = json.loads((tmp_path / "co2" / "search.json").read_text())["trials"]
    assert failed["kwh_estimate"] == 0.001 and failed["co2_grams_estimate"] == 0.38
    assert "kwh_estimate" not in whole, "its time is not known"
    picture = (tmp_path / "search.svg").read_text()
    assert picture.startswith("<svg") and "holds the budget" in picture
    assert "#000000" not in picture
    assert json.loads((tmp_path / "search.json").read_text())["best"] == 1
    write_record(tmp_path / "none", searched(TRIALS[:1]))
    assert "**No trial holds the budget.**" in (tmp_path / "none" / "search.md").read_text()
    assert not (tmp_path / "none" / "search.svg").exists()


def test_what_is_sought_is_told_where_it_is_not_bounded(tmp_path):
    costs = (
        {"metric": 0.9, "macs": 5, "parameters": 7},
        {"metric": 0.8, "macs": 4, "parameters": 6},
    )
    result = ResultRecord(number=1, costs={"macs": 4, "parameters": 6.5}, breaks={})
    write_record(tmp_path, searched(judged(costs), objective="parameters", results=(result,)))
    page = (tmp_path / "search.md").read_text()
    assert "**Trial 1 is best: metric 0.8, parameters 6, macs 4.**" in page
    assert "Made whole, trial 1 holds the budget: parameters 6.5, macs 4." in page
    assert "| trial | metric | parameters | macs | holds | seconds |" in page
    assert "<!-- parameters -->" in (tmp_path / "search.svg").read_text()
