"""The base of our own samplers, which choose knob by knob."""

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

ERROR = "error"
"""What a failed trial has, which its worker outlived: the text of the error."""


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


def unheld_trials(study: Study) -> list[FrozenTrial]:
    """Those that came to none: given up early, or failed by themselves and not by a dead worker."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.PRUNED, TrialState.FAIL))
    return [t for t in ended if t.state == TrialState.PRUNED or ERROR in t.user_attrs]


def running_trials(study: Study) -> list[FrozenTrial]:
    """Those that other workers judge just now."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def holds(trial: FrozenTrial) -> bool:
    """Whether a trial breaks no constraint."""
    return all(value <= 0 for value in trial.constraints.values())
