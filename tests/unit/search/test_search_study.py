"""Trials are judged once, by several workers, and a killed worker costs its own and no other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState
from pydantic import TypeAdapter

from nlpcompress.errors import ConfigError
from nlpcompress.search.judged import Judged, SoFar
from nlpcompress.search.space import Space
from nlpcompress.search.study import How, _me, counted, open_study, run_trials

PROGRAM = Path(__file__).parent / "study_program.py"
UNIT = TypeAdapter(Space).validate_python({"x": {"low": 0.0, "high": 1.0}})
SPACE = TypeAdapter(Space).validate_python({"x": {"choices": [1, 2, 3]}})


def worker(folder, trials, seconds, *database):
    command = [sys.executable, str(PROGRAM), str(folder), str(trials), str(seconds), *database]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def opened(folder, **values):
    return open_study(folder / "journal.log", name="shared", maximize=True, **values)


def run(folder, judge, *, searcher="random", trials=6, **values):
    study = opened(folder, **values)
    run_trials(study, SPACE, judge, how=How(searcher, 0, trials), lock=folder / "lock")
    return study


@pytest.mark.parametrize("address", [None, "sqlite:///{}/study.db"])
def test_two_workers_share_a_study_and_a_killed_one_costs_its_own_trial_alone(tmp_path, address):
    database = [address.format(tmp_path)] if address else []
    doomed = worker(tmp_path, 8, 60, *database)
    assert doomed.stdout.readline().startswith("trial ")
    other = worker(tmp_path, 8, 0.5, *database)
    assert other.stdout.readline().startswith("trial ")
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait()
    assert other.wait(timeout=100) == 0
    study = open_study(*(database or [tmp_path / "journal.log"]), name="shared", maximize=True)
    states = [trial.state.name for trial in study.trials]
    assert sorted(states) == ["COMPLETE"] * 8 + ["FAIL"]
    assert [trial.state for trial in counted(study)] == [TrialState.COMPLETE] * 8
    assert len({trial.params["x"] for trial in counted(study)}) == 8


def test_two_workers_do_not_do_more_together_than_one_would(tmp_path):
    workers = [worker(tmp_path, 8, 0.2) for _ in range(2)]
    shares = [one.communicate(timeout=100)[0].split("trial ")[1:] for one in workers]
    assert all(shares)
    assert sorted(int(number) for share in shares for number in share) == list(range(8))


def test_the_point_of_a_killed_worker_goes_on_under_its_number(tmp_path):
    doomed = worker(tmp_path, 3, 60)
    assert doomed.stdout.readline() == "trial 0\n"
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait()
    asked = []

    def judge(number, point, goes_on):
        asked.append((number, point["x"]))
        return Judged(point["x"], {}, {"x": point["x"]})

    study = opened(tmp_path)
    run_trials(study, UNIT, judge, how=How("random", 0, 3), lock=tmp_path / "lock")
    assert [number for number, _ in asked] == [0, 2, 3]
    alone = opened(tmp_path / "alone")
    run_trials(alone, UNIT, judge, how=How("random", 0, 3), lock=tmp_path / "alone" / "lock")
    assert [x for _, x in asked[3:]] == [x for _, x in asked[:3]], "the points of a quiet search"


def test_searches_of_other_seeds_have_other_points(tmp_path):
    """Seeds that follow each other shared all points but one."""

    def judge(number, point, goes_on):
        return Judged(point["x"], {}, {"x": point["x"]})

    points = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        study = opened(folder)
        run_trials(study, UNIT, judge, how=How("random", seed, 5), lock=folder / "lock")
        points += [trial.params["x"] for trial in study.trials]
    assert len(set(points)) == 15


@pytest.mark.parametrize(
    "searcher", ["random", "grid", "evolution", "tpe", "gaussian_process", "policy_gradient"]
)
def test_a_search_begins_where_it_is_told_and_only_once(tmp_path, searcher):
    def judge(number, point, goes_on):
        return Judged(point["x"], {}, {"x": point["x"]})

    study = opened(tmp_path)
    for trials in (1, 3):
        how = How(searcher, 0, trials, first={"x": 3})
        run_trials(study, SPACE, judge, how=how, lock=tmp_path / "lock")
    points = [trial.params["x"] for trial in study.trials]
    assert points[0] == 3 and len(points) == 3
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    if searcher == "grid":
        assert sorted(points) == [1, 2, 3]


def test_bisection_divides_at_what_it_was_told_first(tmp_path):
    def judge(number, point, goes_on):
        x = point["x"]
        return Judged(x, {"x": x - 0.3}, {"x": x})

    study = opened(tmp_path)
    how = How("bisection", 0, 5, first={"x": 0.5})
    run_trials(study, UNIT, judge, how=how, lock=tmp_path / "lock")
    assert [trial.params["x"] for trial in study.trials] == [0.5, 0.0, 1.0, 0.25, 0.375]


def test_who_is_through_waits_for_the_others(tmp_path):
    slow = worker(tmp_path, 1, 3)
    assert slow.stdout.readline() == "trial 0\n"
    study = run(tmp_path, lambda *_: pytest.fail("the one trial is the other's"), trials=1)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]
    slow.communicate()


def test_a_process_does_not_wait_for_itself(tmp_path):
    """A trial that it asked for and never judged is its own to mind."""
    study = opened(tmp_path)
    study.ask().set_user_attr("worker", _me())
    assert run(tmp_path, lambda *_: pytest.fail("there is no other"), trials=1).trials


def test_the_lock_of_the_journal_leads_to_it_from_anywhere(tmp_path, monkeypatch):
    """Optuna finds out by what its lock points to that the owner died."""
    seen, link = [], os.symlink

    def linked(target, place):
        link(target, place)
        seen.append(Path(place).exists())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "symlink", linked)
    opened(Path("below"))
    assert seen and all(seen)


def test_a_point_that_was_judged_is_not_judged_again(tmp_path):
    asked = []

    def judge(number, point, goes_on):
        asked.append(point["x"])
        return Judged(point["x"], {"x": point["x"] - 2}, {"cost": point["x"]})

    study = run(tmp_path, judge, searcher="grid")
    assert sorted(asked) == [1, 2, 3]
    again = [trial for trial in study.trials if "same_as" in trial.user_attrs]
    assert len(again) == 3
    for trial in again:
        before = study.trials[trial.user_attrs["same_as"]]
        assert (trial.value, trial.constraints) == (before.value, before.constraints)
        assert trial.user_attrs["costs"] == before.user_attrs["costs"]
    assert study.best_trial.params["x"] == 2


def test_an_error_of_ours_fails_the_trial_and_another_stops_the_search(tmp_path):
    def refused(number, point, goes_on):
        raise ConfigError("cannot be cut")

    study = run(tmp_path / "ours", refused, trials=2)
    assert [trial.user_attrs["error"] for trial in counted(study)] == ["cannot be cut"] * 2

    def broken(number, point, goes_on):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "other", broken)
    (trial,) = opened(tmp_path / "other").trials
    assert (trial.state, counted(opened(tmp_path / "other"))) == (TrialState.FAIL, [])


def test_a_trial_that_falls_behind_is_given_up(tmp_path):
    """With a factor of 2 the second of two trials goes on only if it is the better."""
    worth = iter([5.0, 1.0, 6.0])

    def judge(number, point, goes_on):
        value = next(worth)
        return Judged(value, {}, {"value": value}) if goes_on(SoFar(value, 1, {})) else None

    study = run(tmp_path, judge, searcher="grid", trials=3, pruner="halving", factor=2)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE"]


def test_what_a_trial_cost_on_the_way_is_held_against_whole_ones(tmp_path):
    asked = []

    def promises(whole, way):
        asked.append((whole, way))
        return way[-1]["cost"] > 1

    def judge(number, point, goes_on):
        for step in (1, 2):
            if not goes_on(SoFar(1.0, step, {"cost": point["x"] * step})):
                return None
        return Judged(1.0, {}, {"cost": 9})

    study = opened(tmp_path)
    how = How("grid", 0, 3, promises)
    run_trials(study, SPACE, judge, how=how, lock=tmp_path / "lock")
    states = {trial.params["x"]: trial.state.name for trial in study.trials}
    assert states == {1: "PRUNED", 2: "COMPLETE", 3: "COMPLETE"}
    whole, way = asked[-1]
    ways = [[{"cost": x}, {"cost": 2 * x}, {"cost": 9}] for x in (2, 3)]
    assert (whole in ([], ways[:1], ways[1:], ways)) and len(way) in (1, 2)
    assert sorted(len(way) for _, way in asked) == [1, 1, 1, 2, 2]


def test_trials_that_were_given_up_do_not_lead_to_where_the_budget_is_broken(tmp_path):
    """The less x the better, but nearly nowhere does anything hold, as a first look tells."""

    def judge(number, point, goes_on):
        x = point["x"]
        misses, costs = {"x": 0.985 - x}, {"x": x}
        if x < 0.985 and not goes_on(SoFar(x, 1, costs, misses)):
            return None
        return Judged(x, misses, costs)

    study = open_study(tmp_path / "journal.log", name="least", maximize=False)
    how = How("tpe", 0, 40, lambda whole, way: False)
    run_trials(study, UNIT, judge, how=how, lock=tmp_path / "lock")
    late = [trial.params["x"] for trial in study.trials[20:]]
    assert sum(x > 0.8 for x in late) >= 10, "of 20: 15 were seen, and 0 where it was not told"
