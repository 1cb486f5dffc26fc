"""What a search leaves: every trial, what it cost, and which is best; as JSON and as a table."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nlpcompress.core.budget import Budget
from nlpcompress.core.config import Config
from nlpcompress.core.whole import write_whole
from nlpcompress.search.space import Point

if TYPE_CHECKING:
    import optuna

FILE = "search.json"


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


def records(study: "optuna.Study") -> list[TrialRecord]:
    """All trials of a study, by number."""
    return [
        TrialRecord(
            number=trial.number,
            state=trial.state.name.lower(),
            point=trial.user_attrs.get("point", {}),
            costs=trial.user_attrs.get("costs", {}),
            error=trial.user_attrs.get("error"),
            same_as=trial.user_attrs.get("same_as"),
            seconds=trial.duration and trial.duration.total_seconds(),
        )
        for trial in study.get_trials(deepcopy=False)
    ]


def best_of(
    trials: Sequence[TrialRecord], budget: Budget, *, objective: str, maximize: bool
) -> TrialRecord | None:
    """Of those that hold the budget; None where none does."""
    holding = [trial for trial in trials if trial.holds(budget)]
    sign = -1 if maximize else 1
    return min(holding, key=lambda trial: sign * trial.costs[objective], default=None)


def write_record(
    out: Path, trials: Sequence[TrialRecord], budget: Budget, best: TrialRecord | None
) -> None:
    """search.json and search.md, each whole or not at all."""
    values: dict[str, Any] = {
        "format_version": 1,
        "budget": budget.bounds,
        "best": best and best.number,
        "trials": [trial.to_json() for trial in trials],
    }
    write_whole(out / FILE, json.dumps(values, indent=1))
    write_whole(out / "search.md", "\n".join(_table(trials, budget, best)) + "\n")


def _table(
    trials: Sequence[TrialRecord], budget: Budget, best: TrialRecord | None
) -> Iterator[str]:
    """A line a trial: its point, the metric, what is bounded, whether it holds."""
    knobs = list(dict.fromkeys(name for trial in trials for name in trial.point))
    columns = ["trial", *knobs, "metric", *budget.bounds, "holds", "seconds"]
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for trial in trials:
        told = [trial.point.get(knob, "") for knob in knobs]
        costs = [_short(trial.costs.get(name)) for name in ("metric", *budget.bounds)]
        holds = ("yes" if trial.holds(budget) else "no") if trial.costs else trial.state
        mark = " (best)" if best and trial.number == best.number else ""
        cells = [f"{trial.number}{mark}", *told, *costs, holds, _short(trial.seconds)]
        yield f"| {' | '.join(map(str, cells))} |"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
