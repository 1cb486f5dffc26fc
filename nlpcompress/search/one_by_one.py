"""The base of our own samplers, which choose knob by knob."""

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState


class OneByOne(BaseSampler):
    """Nothing is chosen for several knobs at once: a subclass has `sample_independent` alone."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """No knobs."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}


def judged_trials(study: Study) -> list[FrozenTrial]:
    """Those that came to a value."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def holds(trial: FrozenTrial) -> bool:
    """Whether a trial breaks no constraint."""
    return all(value <= 0 for value in trial.constraints.values())
