"""Optuna's own samplers in the settings that suit few trials, dear each, under constraints."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)


def grid(seed: int, trials: int) -> BaseSampler:
    """Every point once, in an order that the seed draws; real knobs need a `step`."""
    with _experimental():
        return _Exhaustive(seed=seed)


class _Exhaustive(BruteForceSampler):
    """Says nothing when all is tried: what follows is known then, and costs nothing."""

    def after_trial(self, *_: Any) -> None:
        """Not to stop the study, which the one who asks does."""


def random(seed: int, trials: int) -> BaseSampler:
    """Evenly, each knob by itself."""
    return RandomSampler(seed=seed)


def evolution(seed: int, trials: int) -> BaseSampler:
    """NSGA-II [Deb et al. 2002] with generations of a fifth of the trials, 4 to 50 points."""
    return NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 5)))


def tpe(seed: int, trials: int) -> BaseSampler:
    """Tree-structured Parzen estimators [Bergstra et al. 2011] of all knobs together, after as many
    random points as a quarter of the trials, 10 at most.
    """
    with _experimental():
        return TPESampler(seed=seed, n_startup_trials=_start(trials), multivariate=True, group=True)


def gaussian_process(seed: int, trials: int) -> BaseSampler:
    """A Gaussian process with expected improvement, after as many random points as `tpe`."""
    return GPSampler(seed=seed, n_startup_trials=_start(trials))


def _start(trials: int) -> int:
    """Random points before a model of them."""
    return max(1, min(10, trials // 4))


@contextmanager
def _experimental() -> Iterator[None]:
    """Optuna warns of what may change; its version is pinned where results must not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
