"""From a file and overrides to a resolved recipe, with every problem reported at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from nlpcompress.core.config import Config, problems
from nlpcompress.errors import ConfigError
from nlpcompress.evaluation.metrics import default_metrics
from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.checks import meaning_problems
from nlpcompress.recipe.overrides import apply_overrides
from nlpcompress.recipe.schema import MethodConfig, Recipe, StageConfig
from nlpcompress.recipe.text import read_yaml
from nlpcompress.recipe.workspace import RESOLVED

C = TypeVar("C", bound=Config)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The resolved recipe of a file, or of the folder a run left, under `key.path=value` overrides.

    Raises `ConfigError` with one line a problem, each with its path; no weight is read before.
    """
    path = Path(path)
    values = read_yaml(path / RESOLVED if path.is_dir() else path)
    if path.is_dir():
        values["out"] = str(path)
    return parse_recipe(apply_overrides(values, overrides), origin=str(path))


def parse_recipe(values: Mapping[str, Any], *, origin: str = "recipe") -> Recipe:
    """Check and resolve plain values. Raises `ConfigError` with every problem at once."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin}: a recipe is a mapping, got {values!r}")
    recipe, shape = _structure(values)
    faults = shape + meaning_problems(values)
    if faults:
        count = "1 problem" if len(faults) == 1 else f"{len(faults)} problems"
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{origin}: {count}\n{lines}")
    assert recipe is not None, "a recipe without problems was not read"
    return _resolve(recipe)


def _structure(values: Mapping[str, Any]) -> tuple[Recipe | None, list[str]]:
    """Keys, types and bounds. Stages one by one: their paths need their numbers."""
    faults: list[str] = []
    stages = values.get("stages")
    if isinstance(stages, list) and stages:
        parsed = [_parse(StageConfig, s, f"stages.{i}", faults) for i, s in enumerate(stages)]
        values = {**values, "stages": [stage for stage in parsed if stage] or [_ANY_STAGE]}
    return _parse(Recipe, values, "", faults), faults


def _parse(kind: type[C], values: Any, where: str, faults: list[str]) -> C | None:
    if not isinstance(values, Mapping):
        keys = ", ".join(kind.model_fields)
        faults.append(f"{where}: must be a mapping with the keys {keys} (value: {values!r})")
        return None
    try:
        return kind.model_validate(dict(values))
    except pydantic.ValidationError as error:
        faults.extend(problems(error, kind, where))
        return None


_ANY_STAGE = StageConfig(method="any")


def _resolve(recipe: Recipe) -> Recipe:
    """Fill in the methods' own defaults, the task's metrics and the result folder."""
    metrics = recipe.evaluate.metrics or default_metrics(recipe.model.task)
    changes = {
        "out": recipe.out or f"out/{recipe.name}",
        "stages": tuple(_resolve_stage(stage) for stage in recipe.stages),
        "evaluate": recipe.evaluate.model_copy(update={"metrics": metrics}),
    }
    return recipe.model_copy(update=changes)


def _resolve_stage(stage: StageConfig) -> StageConfig:
    others = tuple(other.model_copy(update={"config": _filled(other)}) for other in stage.also)
    return stage.model_copy(update={"config": _filled(stage), "also": others})


def _filled(method: MethodConfig) -> dict[str, Any]:
    return METHODS.load(method.method).Config.parse(method.config).to_json()
