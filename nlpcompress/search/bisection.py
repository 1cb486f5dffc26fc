"""The border of what holds along one knob: the interval between a yes and a no, halved."""

from itertools import pairwise

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from nlpcompress.errors import ConfigError
from nlpcompress.search.one_by_one import (
    OneByOne,
    holds,
    judged_trials,
    running_trials,
    unheld_trials,
)


def bisection(seed: int, trials: int) -> BaseSampler:
    """For one knob along which constraints hold up to some value, or from it on."""
    return BisectionSampler()


class BisectionSampler(OneByOne):
    """Tries both ends, then the middle between the nearest two values of which one holds.

    Where both ends hold, or neither, there is no border: the middle of the widest gap follows. A
    trial that failed or was given up does not hold; what other workers have just now is not tried
    again, but divides the gap.

    Raises `ConfigError` for a second knob, and for one without an order.
    """

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> float:
        """The next value of the one knob."""
        if trial.params:
            (other,) = trial.params
            raise ConfigError(f"bisection is for one knob, and there are {other} and {param_name}")
        if not isinstance(param_distribution, (FloatDistribution, IntDistribution)):
            raise ConfigError(f"bisection is for a number between two, which {param_name} is not")
        low, high = param_distribution.low, param_distribution.high
        others = set(_values(running_trials(study), param_name))
        tried = dict.fromkeys(_values(unheld_trials(study), param_name), False)
        for done in judged_trials(study):
            tried |= dict.fromkeys(_values([done], param_name), holds(done))
        for end in (low, high):
            if end not in tried.keys() | others:
                return end
        return _on_grid(_middle(tried, others | {low, high}), param_distribution)


def _values(trials: list[FrozenTrial], knob: str) -> list[float]:
    return [float(trial.params[knob]) for trial in trials if knob in trial.params]


def _middle(tried: dict[float, bool], others: set[float]) -> float:
    """Of the widest gap at the border, or of all; values of `others` divide gaps."""
    borders = [(a, b) for a, b in pairwise(sorted(tried)) if tried[a] != tried[b]]
    gaps = list(pairwise(sorted(tried.keys() | others)))
    near = [(a, b) for a, b in gaps if any(low <= a and b <= high for low, high in borders)]
    below, above = max(near or gaps, key=lambda gap: gap[1] - gap[0])
    return (below + above) / 2


def _on_grid(value: float, knob: FloatDistribution | IntDistribution) -> float:
    """The nearest value that the knob can have."""
    if knob.step is None:
        return value
    near = knob.low + round((value - knob.low) / knob.step) * knob.step
    return min(max(near, knob.low), knob.high)
