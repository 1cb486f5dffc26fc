"""Every searcher on a problem whose answer is known: x as great as a bound allows, of one kind."""

import sys

import optuna
import pytest

from nlpcompress.errors import ConfigError, UnknownNameError
from nlpcompress.search.searchers import SEARCHERS, make_searcher

BOUND, TRIALS = 0.62, 24
optuna.logging.set_verbosity(optuna.logging.WARNING)


def tried(searcher, *, trials=TRIALS, seed=0, step=0.1, kinds=("a", "b")):
    study, points = optuna.create_study(direction="maximize"), []
    for number in range(trials):
        study.sampler = make_searcher(searcher, seed=100 * seed + number, trials=trials)
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 1.0, step=step)
        kind = trial.suggest_categorical("kind", kinds) if kinds else "b"
        trial.set_constraint("x", x - BOUND)
        study.tell(trial, x + (kind == "b"))
        points.append((round(x, 3), kind))
    return study, points


@pytest.mark.parametrize("searcher", [name for name in SEARCHERS if name != "bisection"])
def test_the_best_that_holds_is_found(searcher):
    study, _ = tried(searcher)
    assert study.best_trial.params["kind"] == "b"
    assert study.best_trial.params["x"] == pytest.approx(0.6, abs=0.11)


@pytest.mark.parametrize("searcher", ["tpe", "gaussian_process", "policy_gradient"])
def test_one_that_learns_has_better_trials_at_the_end(searcher):
    """Of the last trials more are of the better kind than half, which chance gives."""
    last = [kind for seed in range(5) for _, kind in tried(searcher, seed=seed)[1][-8:]]
    assert last.count("b") > 0.7 * len(last)


def test_chance_learns_nothing():
    last = [kind for seed in range(5) for _, kind in tried("random", seed=seed)[1][-8:]]
    assert 0.3 < last.count("b") / len(last) < 0.7


def test_the_grid_has_every_point_once():
    _, points = tried("grid", trials=22)
    assert sorted(points) == sorted((round(x / 10, 3), k) for x in range(11) for k in "ab")


def test_bisection_closes_in_on_the_border():
    study, points = tried("bisection", trials=12, step=None, kinds=())
    assert [x for x, _ in points[:4]] == [0.0, 1.0, 0.5, 0.75]
    assert BOUND - 1e-3 < study.best_trial.params["x"] <= BOUND


def test_bisection_is_for_one_number():
    with pytest.raises(ConfigError, match="bisection is for one knob, and there are x and kind"):
        tried("bisection")
    study = optuna.create_study(sampler=make_searcher("bisection", seed=0, trials=1))
    with pytest.raises(ConfigError, match="a number between two, which kind is not"):
        study.ask().suggest_categorical("kind", ["a", "b"])


def test_what_is_missing_is_told(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        make_searcher("randm", seed=0, trials=1)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install nlpcompress\[search\]"):
        make_searcher("tpe", seed=0, trials=1)
