"""What a search finds: every trial, what it cost, and which is best."""

from typing import TYPE_CHECKING

from pydantic import Field

from nlpcompress.core.budget import Budget
from nlpcompress.core.config import Config
from nlpcompress.recipe.search.config import METRIC
from nlpcompress.search.space import Point

if TYPE_CHECKING:
    import optuna

JOULES_A_KWH = 3.6e6
DROP = "metric_drop"
KWH, CO2 = "kwh_estimate", "co2_grams_estimate"


class TrialRecord(Config):
    """One trial. `costs` are empty where it failed, was given up, or still runs."""

    number: int
    state: str
    point: Point
    costs: dict[str, float] = Field(default_factory=dict)
    error: str | None = None
    same_as: int | None = None
    seconds: float | None = None

    def holds(self, budget: Budget) -> bool:
        """Whether it was judged and breaks no bound."""
        return bool(self.costs) and budget.allows(self.costs)


class ResultRecord(Config):
    """A trial's recipe run whole: what that costs, its drop on the test set, and which bounds it
    breaks, each by what share of itself.
    """

    number: int
    costs: dict[str, float]
    breaks: dict[str, float]

    @property
    def costs_too_much(self) -> bool:
        """Whether it breaks a bound of what it costs, and not of the metric alone."""
        return bool(set(self.breaks) - {DROP})


class SearchRecord(Config):
    """A whole search. `importances` say how much of the objective's spread each knob explains;
    `greater_is_better` is of the metric. `results` are the trials run whole, the last one to stay.
    """

    trials: tuple[TrialRecord, ...]
    budget: Budget
    objective: str
    greater_is_better: bool
    results: tuple[ResultRecord, ...] = ()
    importances: dict[str, float] = Field(default_factory=dict)
    watts: float | None = None
    grams_per_kwh: float | None = None

    @property
    def counted(self) -> list[str]:
        """What a trial is told by: the metric, the objective, and what is bounded."""
        return list(dict.fromkeys([METRIC, self.objective, *self.budget.bounds]))

    @property
    def holding(self) -> list[TrialRecord]:
        """The trials that hold the budget, the best first."""
        found = [trial for trial in self.trials if trial.holds(self.budget)]
        sign = -1 if self.objective == METRIC and self.greater_is_better else 1
        return sorted(found, key=lambda trial: sign * trial.costs[self.objective])

    @property
    def best(self) -> TrialRecord | None:
        """Of the trials that hold the budget; None where none does."""
        return next(iter(self.holding), None)

    @property
    def next_best(self) -> TrialRecord | None:
        """The best that would hold the budget if each cost changed as that of the result did that
        changed most: none whose own result costs too much. None where none would.
        """
        return next((trial for trial in self.holding if self._would_hold(trial)), None)

    def _would_hold(self, trial: TrialRecord) -> bool:
        of_trials = {trial.number: trial.costs for trial in self.trials}
        bounds = {name: bound for name, bound in self.budget.bounds.items() if name != DROP}
        return all(
            trial.costs[name] * result.costs[name] <= bound * of_trials[result.number][name]
            for result in self.results
            for name, bound in bounds.items()
            if name in result.costs
        )

    @property
    def nearest(self) -> TrialRecord | None:
        """Of the judged trials the one whose bounds are broken by the least shares of themselves,
        summed; None where none was judged.
        """
        judged = [trial for trial in self.trials if trial.costs]
        return min(
            judged, key=lambda trial: sum(self.budget.misses(trial.costs).values()), default=None
        )

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        return sum(trial.seconds or 0.0 for trial in self.trials)

    def estimates(self, seconds: float | None) -> dict[str, float]:
        """`kwh_estimate`, what a worker of so many watts takes in that time, and where it is said
        how many grams of CO2 a kilowatt-hour makes `co2_grams_estimate`.
        """
        if self.watts is None or seconds is None:
            return {}
        energy = self.watts * seconds / JOULES_A_KWH
        grams = {} if self.grams_per_kwh is None else {CO2: energy * self.grams_per_kwh}
        return {KWH: energy, **grams}


def _seconds(trial: "optuna.trial.FrozenTrial") -> float | None:
    """None of one that still runs, and of one whose worker died, no one knows when."""
    died = trial.state.name == "FAIL" and "error" not in trial.user_attrs
    return None if died or trial.duration is None else trial.duration.total_seconds()


def trial_records(study: "optuna.Study") -> tuple[TrialRecord, ...]:
    """All trials of a study, by number."""
    return tuple(
        TrialRecord(
            number=trial.number,
            state=trial.state.name.lower(),
            point=trial.user_attrs.get("point", {}),
            costs=trial.user_attrs.get("costs", {}),
            error=trial.user_attrs.get("error"),
            same_as=trial.user_attrs.get("same_as"),
            seconds=_seconds(trial),
        )
        for trial in study.get_trials(deepcopy=False)
    )
