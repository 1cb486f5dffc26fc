"""One trial: the recipe that a point makes, its run, and what that costs."""

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nlpcompress.bench import Report
from nlpcompress.bench.decision import costs
from nlpcompress.errors import ConfigError
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.recipe.overrides import set_value
from nlpcompress.recipe.roles import first_cut
from nlpcompress.recipe.schema import TIMED, Recipe
from nlpcompress.search.space import Scalar, paths_of

STAGE = re.compile(r"stages\.(\d+)(?:\.|$)")
RATIO = "latency_ratio"
AFTERWARDS = ("evaluate", "export", "bench")
"""Blocks that change no model."""


def shared_stages(recipe: Recipe) -> int:
    """How many stages all trials begin with: those before the first that a knob or a fidelity
    changes, and before the first cut, so that a teacher is the same.
    """
    assert recipe.search is not None, "a recipe without a search"
    paths = [path for name, knob in recipe.search.space.items() for path in paths_of(name, knob)]
    paths += [recipe.search.fidelity.path] if recipe.search.fidelity else []
    cut = first_cut([stage.method for stage in recipe.stages], len(recipe.stages))
    return min([len(recipe.stages) - 1, *(() if cut is None else (cut,)), *map(_first, paths)])


def _first(path: str) -> int:
    """The first stage that a path changes; 0 for what all stages depend on."""
    if found := STAGE.match(path):
        return int(found[1])
    return 10**6 if path.partition(".")[0] in AFTERWARDS else 0


def start_values(recipe: Recipe, count: int) -> dict[str, Any]:
    """The recipe of the first `count` stages, judged as trials are."""
    values = _plain(recipe)
    values["data"]["validation"] = True
    values["stages"] = values["stages"][:count]
    values["export"] = {}
    return values | {"name": f"{recipe.name}-start"}


def trial_values(
    recipe: Recipe, settings: Mapping[str, Scalar], *, shared: int, start: Path | None
) -> dict[str, Any]:
    """The recipe with these settings, from the model in `start`, which has the `shared` stages.

    Trials are judged on part of the training rows. What is stored of a teacher's answers lies
    beside `start`, for all trials. Raises `ConfigError` for a path that leads nowhere.
    """
    values = set_all(_plain(recipe), settings)
    values["data"]["validation"] = True
    values["stages"] = [s for s in values["stages"][shared:] if s["method"] is not None]
    if start is not None:
        values["model"] = {"id": str(start), "task": recipe.model.task}
        values["evaluate"]["before"] = TIMED if _compares_times(recipe) else False
        for stage in values["stages"]:
            if stage["cache_teacher"] is True:
                stage["cache_teacher"] = str(start.with_name("answers"))
    return values


def _compares_times(recipe: Recipe) -> bool:
    """Whether something counts that takes the model before, timed beside the trial's."""
    assert recipe.search is not None, "a recipe without a search"
    return RATIO in (recipe.search.objective, *recipe.search.budget.bounds)


def final_values(recipe: Recipe, settings: Mapping[str, Scalar]) -> dict[str, Any]:
    """The recipe with these settings, whole, judged on the test set."""
    values = set_all(_plain(recipe), settings)
    values["stages"] = [stage for stage in values["stages"] if stage["method"] is not None]
    return values


def set_all(values: dict[str, Any], settings: Mapping[str, Scalar]) -> dict[str, Any]:
    """A copy with all that is set; a stage whose method is set loses its config first."""
    values = copy.deepcopy(values)
    for path in settings:
        if (found := STAGE.match(path)) and path.endswith(f"stages.{found[1]}.method"):
            set_value(values, f"stages.{found[1]}.config", {})
    for path, value in settings.items():
        set_value(values, path, value)
    return values


def _plain(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in recipe.to_json().items() if key not in ("search", "out")}


def judged(recipe: Recipe, report: Report, before: Mapping[str, float] | None) -> dict[str, float]:
    """What a budget can bound, and `metric`, of the row that counts.

    `before` are the metrics of the model that all trials start from; None where the report's own
    first row is it. Raises `ConfigError` when there is no such row, or not all was measured.
    """
    search = recipe.search
    assert search is not None, "a recipe without a search"
    metric, rows = recipe.evaluate.metrics[0], {row.name: row for row in report.rows}
    if search.row not in rows:
        raise ConfigError(f"search.row: the report has no {search.row}, but {', '.join(rows)}")
    row = rows[search.row]
    found = costs(report, row, shape=search.shape or _last(row.latency_ms))
    if before is not None:
        sign = 1 if greater_is_better(metric) else -1
        found["metric_drop"] = sign * (before[metric] - row.metrics[metric])
    found["metric"] = row.metrics[metric]
    lacking = sorted({*search.budget.bounds, search.objective} - set(found))
    if lacking:
        raise ConfigError(f"search: {search.row} was not measured for {', '.join(lacking)}")
    return found


def _last(names: Iterable[str]) -> str | None:
    return list(names)[-1] if names else None
