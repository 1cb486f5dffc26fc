"""One trial: the recipe that a point makes, its run, and what that costs."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nlpcompress.bench import Report, Row
from nlpcompress.bench.decision import costs
from nlpcompress.errors import ConfigError
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.artefacts import export_of_row
from nlpcompress.recipe.overrides import set_value, values_at
from nlpcompress.recipe.schema import TIMED, ExportConfig, Recipe
from nlpcompress.recipe.search.config import METRIC, SearchConfig
from nlpcompress.recipe.search.shared import STAGE, compares_times
from nlpcompress.search.space import Point, Scalar, all_paths, point_of

ANSWERS, SCORES = "answers", "scores"
"""Beside the trials: what they share of costly work, under hashes of all that it comes from."""


def trial_values(
    recipe: Recipe,
    settings: Mapping[str, Scalar],
    *,
    shared: int,
    start: Path | None,
    folder: Path,
) -> dict[str, Any]:
    """The recipe with these settings, from the model in `start`, which has the `shared` stages.

    Trials are judged on part of the training rows; they measure the row that counts, and export
    no more than that is made of. What a teacher answered, where that is stored, and costly scores
    lie in `folder`, for all of them. Raises `ConfigError` for a path that leads nowhere.
    """
    assert recipe.search is not None, "a recipe without a search"
    values = set_all(_plain(recipe), settings)
    values["data"]["validation"] = True
    values["stages"] = [
        _with_stores(stage, folder)
        for stage in values["stages"][shared:]
        if stage["method"] is not None
    ]
    export = ExportConfig.parse(values["export"], where="export")
    values["export"] = export_of_row(export, recipe.search.row).to_json()
    values["evaluate"]["row"] = recipe.search.row
    if start is not None:
        values["model"] = {"id": str(start), "task": recipe.model.task}
        values["evaluate"]["before"] = TIMED if compares_times(recipe) else False
    return values


def _with_stores(stage: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What is stored in the result's own folder lies in this one, where trials find it."""
    methods = [stage["method"], *(other["method"] for other in stage["also"])]
    if stage["cache_teacher"] is True:
        stage = stage | {"cache_teacher": str(folder / ANSWERS)}
    if stage["cache_scores"] is None and any(METHODS.load(m).stores_scores for m in methods):
        stage = stage | {"cache_scores": str(folder / SCORES)}
    return stage


def own_point(recipe: Recipe) -> Point | None:
    """What the recipe itself says, as a point; None where that is not in the space."""
    assert recipe.search is not None, "a recipe without a search"
    space = recipe.search.space
    return point_of(space, values_at(_plain(recipe), all_paths(space)))


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
    search, metric = recipe.search, recipe.evaluate.metrics[0]
    assert search is not None, "a recipe without a search"
    row = _counted(search, report)
    found = costs_of_row(search, report)
    if before is not None:
        sign = 1 if greater_is_better(metric) else -1
        found["metric_drop"] = sign * (before[metric] - row.metrics[metric])
    found[METRIC] = row.metrics[metric]
    lacking = sorted({*search.budget.bounds, search.objective} - set(found))
    if lacking:
        raise ConfigError(f"search: {search.row} was not measured for {', '.join(lacking)}")
    return found


def costs_of_row(search: SearchConfig, report: Report) -> dict[str, float]:
    """What a budget can bound, of the row that counts, as far as the report has it.

    Raises `ConfigError` when there is no such row.
    """
    row = _counted(search, report)
    return costs(report, row, shape=search.shape or _last(row.latency_ms))


def _counted(search: SearchConfig, report: Report) -> Row:
    rows = {row.name: row for row in report.rows}
    if search.row not in rows:
        raise ConfigError(f"search.row: the report has no {search.row}, but {', '.join(rows)}")
    return rows[search.row]


def _last(names: Iterable[str]) -> str | None:
    return list(names)[-1] if names else None
