"""Every searcher on a problem whose answer is known: x as great as a bound allows, of one kind."""

import sys

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nlpcompress.errors import ConfigError, UnknownNameError
from nlpcompress.search.policy_gradient import _pieces
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


def test_bisection_leaves_an_end_that_fails():
    study, points = optuna.create_study(direction="maximize"), []
    for number in range(8):
        study.sampler = make_searcher("bisection", seed=number, trials=8)
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 1.0)
        points.append(x)
        if x < 0.3:
            trial.set_user_attr("error", "nothing is left")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, x)
    assert points[:4] == [0.0, 1.0, 0.5, 0.25]
    assert abs(points[-1] - 0.3) < 0.01


def test_bisection_takes_another_point_than_a_worker_has():
    study = optuna.create_study(sampler=make_searcher("bisection", seed=0, trials=8))
    points = [study.ask().suggest_float("x", 0.0, 1.0) for _ in range(5)]
    assert points == [0.0, 1.0, 0.5, 0.25, 0.75]


@pytest.mark.parametrize(
    "knob",
    [
        IntDistribution(0, 7),
        IntDistribution(0, 2),
        IntDistribution(0, 100),
        IntDistribution(0, 10**9),
        IntDistribution(1, 16, log=True),
        FloatDistribution(0.0, 1.0, step=0.1),
        FloatDistribution(1e-5, 1e-3, log=True),
        CategoricalDistribution(("a", None, 3)),
    ],
)
def test_what_a_policy_draws_is_of_the_piece_it_chose(knob):
    pieces, random = _pieces(knob), np.random.default_rng(0)
    for piece in range(pieces.count):
        drawn = [pieces.value(piece, random) for _ in range(50)]
        assert {pieces.of(value) for value in drawn} == {piece}
        assert all(knob._contains(knob.to_internal_repr(value)) for value in drawn)


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
