"""How the next point is chosen: a name → an Optuna sampler. Needs `nlpcompress[search]`."""

import importlib.util
from typing import TYPE_CHECKING

from nlpcompress.core.registry import Registry
from nlpcompress.errors import ConfigError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SEARCHERS = Registry(
    "searcher",
    {
        "bisection": "nlpcompress.search.bisection:bisection",
        "grid": "nlpcompress.search.optuna_samplers:grid",
        "random": "nlpcompress.search.optuna_samplers:random",
        "evolution": "nlpcompress.search.optuna_samplers:evolution",
        "tpe": "nlpcompress.search.optuna_samplers:tpe",
        "gaussian_process": "nlpcompress.search.optuna_samplers:gaussian_process",
        "policy_gradient": "nlpcompress.search.policy_gradient:policy_gradient",
    },
)


def make_searcher(name: str, *, seed: int, trials: int) -> "BaseSampler":
    """The sampler of one trial; all it knows of earlier ones lies in the study.

    `trials` is how many there will be. Raises `UnknownNameError`, and `ConfigError` when Optuna is
    not installed.
    """
    SEARCHERS.check(name)
    require_optuna()
    sampler: BaseSampler = SEARCHERS.load(name)(seed, trials)
    return sampler


def require_optuna() -> None:
    """Raises `ConfigError` when Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "a search needs optuna, which is not installed; install it with "
            "`pip install nlpcompress[search]`"
        )
