"""What a search leaves: every trial, what it cost, and which is best; as JSON and as a page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nlpcompress.core.budget import Budget
from nlpcompress.core.config import Config
from nlpcompress.core.whole import write_whole
from nlpcompress.recipe.search.config import METRIC
from nlpcompress.recipe.search.plot import front_svg
from nlpcompress.search.space import Point

if TYPE_CHECKING:
    import optuna

FILE, PAGE, PICTURE = "search.json", "search.md", "search.svg"
FORMAT_VERSION = 1
JOULES_A_KWH = 3.6e6


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


class SearchRecord(Config):
    """A whole search. `importances` say how much of the objective's spread each knob explains;
    `greater_is_better` is of the metric.
    """

    trials: tuple[TrialRecord, ...]
    budget: Budget
    objective: str
    greater_is_better: bool
    importances: dict[str, float] = Field(default_factory=dict)
    watts: float | None = None
    grams_per_kwh: float | None = None

    @property
    def best(self) -> TrialRecord | None:
        """Of the trials that hold the budget; None where none does."""
        holding = [trial for trial in self.trials if trial.holds(self.budget)]
        sign = -1 if self.objective == METRIC and self.greater_is_better else 1
        return min(holding, key=lambda trial: sign * trial.costs[self.objective], default=None)

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        return sum(trial.seconds or 0.0 for trial in self.trials)

    @property
    def kwh_estimate(self) -> float | None:
        """What a worker of so many watts takes in that time."""
        return None if self.watts is None else self.watts * self.seconds / JOULES_A_KWH

    @property
    def co2_grams_estimate(self) -> float | None:
        """Of that energy, where a kilowatt-hour makes so many grams."""
        energy, grams = self.kwh_estimate, self.grams_per_kwh
        return None if energy is None or grams is None else energy * grams


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
            seconds=trial.duration and trial.duration.total_seconds(),
        )
        for trial in study.get_trials(deepcopy=False)
    )


def write_record(out: Path, record: SearchRecord) -> None:
    """search.json, search.md and search.svg, each whole or not at all."""
    best = record.best
    values: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "best": best and best.number,
        "seconds": record.seconds,
        "kwh_estimate": record.kwh_estimate,
        "co2_grams_estimate": record.co2_grams_estimate,
        **record.to_json(),
    }
    picture = front_svg(record)
    if picture:
        write_whole(out / PICTURE, picture)
    write_whole(out / FILE, json.dumps(values, indent=1))
    write_whole(out / PAGE, "\n".join(_page(record, has_picture=picture is not None)) + "\n")


def _page(record: SearchRecord, *, has_picture: bool) -> Iterator[str]:
    best, judged = record.best, [trial for trial in record.trials if trial.costs]
    yield "# Search\n"
    if best:
        yield f"**Trial {best.number} is best: {_said(record, best)}.**\n"
    else:
        yield "**No trial holds the budget.**\n"
    counts = f"{len(record.trials)} trials, {len(judged)} of them judged"
    yield f"{counts}, in {record.seconds:.0f} s{_estimates(record)}."
    if has_picture:
        yield f"\n![what each trial costs and is worth]({PICTURE})"
    if record.importances:
        yield "\n## What mattered\n"
        yield "| knob | share of the spread |\n| --- | ---: |"
        yield from (f"| {knob} | {share:.2f} |" for knob, share in record.importances.items())
    yield "\n## Trials\n"
    yield from _table(record)


def _estimates(record: SearchRecord) -> str:
    if record.kwh_estimate is None:
        return ""
    energy = f", about {record.kwh_estimate:.3g} kWh"
    if record.co2_grams_estimate is None:
        return f"{energy} (an estimate)"
    return f"{energy} and {record.co2_grams_estimate:.3g} g of CO2 (estimates)"


def _said(record: SearchRecord, trial: TrialRecord) -> str:
    shown = [METRIC, *record.budget.bounds]
    return ", ".join(f"{name} {trial.costs[name]:.6g}" for name in shown)


def _table(record: SearchRecord) -> Iterator[str]:
    """A line a trial: its point, the metric, what is bounded, whether it holds."""
    knobs = list(dict.fromkeys(name for trial in record.trials for name in trial.point))
    costs = [METRIC, *record.budget.bounds]
    columns = ["trial", *knobs, *costs, "holds", "seconds"]
    yield f"| {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * (len(columns) - 1)}"
    best = record.best
    for trial in record.trials:
        told = [_short(trial.point[knob]) if knob in trial.point else "" for knob in knobs]
        found = [_short(trial.costs[name]) if trial.costs else "" for name in costs]
        holds = ("yes" if trial.holds(record.budget) else "no") if trial.costs else trial.state
        mark = " (best)" if best and trial.number == best.number else ""
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        yield f"| {' | '.join([f'{trial.number}{mark}', *told, *found, holds, seconds])} |"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
