"""What all trials of a search begin with, run once."""

import re
from collections.abc import Iterator
from typing import Any

from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.roles import first_cut
from nlpcompress.recipe.schema import Recipe, StageConfig
from nlpcompress.search.space import Categorical, all_paths, paths_of

STAGE = re.compile(r"stages\.(\d+)(?:\.|$)")
RATIO = "latency_ratio"
AFTERWARDS = ("evaluate", "export", "bench")
"""Blocks that change no model."""
OF_THE_RESULT = ("out", "save_as", "search", "storage")
"""Keys that say nothing of a model on the way."""


def shared_stages(recipe: Recipe) -> int:
    """How many stages all trials begin with: those before the first that a knob or a fidelity
    changes, and no cut where the model in front of it counts later on.
    """
    paths = _changed(recipe)
    first = min([len(recipe.stages) - 1, *map(_first, paths)])
    cut = first_cut([stage.method for stage in recipe.stages], first)
    return cut if cut is not None and _looks_back(recipe, first, paths) else first


def compares_times(recipe: Recipe) -> bool:
    """Whether something counts that takes the model before, timed beside the trial's."""
    assert recipe.search is not None, "a recipe without a search"
    return RATIO in (recipe.search.objective, *recipe.search.budget.bounds)


def start_values(recipe: Recipe, count: int) -> dict[str, Any]:
    """The recipe of the first `count` stages, judged as trials are, and so is the model before."""
    values = {key: value for key, value in recipe.to_json().items() if key not in OF_THE_RESULT}
    values["data"]["validation"] = True
    values["stages"] = values["stages"][:count]
    values["evaluate"] |= {"before": True, "row": None}
    values["export"] = {}
    return values | {"name": f"{recipe.name}-start"}


def _changed(recipe: Recipe) -> list[str]:
    """The paths of all that a trial sets."""
    search = recipe.search
    assert search is not None, "a recipe without a search"
    return [*all_paths(search.space), *([search.fidelity.path] if search.fidelity else [])]


def _first(path: str) -> int:
    """The first stage that a path changes; 0 for what all stages depend on."""
    if found := STAGE.match(path):
        return int(found[1])
    return 10**6 if path.partition(".")[0] in AFTERWARDS else 0


def _looks_back(recipe: Recipe, count: int, paths: list[str]) -> bool:
    """Whether trials that have the first `count` stages need the model before the first cut: one of
    theirs learns from it, or they are timed beside it.
    """
    later = list(enumerate(recipe.stages))[count:]
    return compares_times(recipe) or any(
        METHODS.load(method).needs_teacher
        for number, stage in later
        if stage.teacher is None or f"stages.{number}.teacher" in paths
        for method in _methods(recipe, number, stage)
    )


def _methods(recipe: Recipe, number: int, stage: StageConfig) -> Iterator[object]:
    """Those of a stage, and those that a knob may put in their place."""
    assert recipe.search is not None, "a recipe without a search"
    yield from (stage.method, *(other.method for other in stage.also))
    for name, knob in recipe.search.space.items():
        chosen = [path for path in paths_of(name, knob) if _names_a_method(path, number)]
        if chosen and isinstance(knob, Categorical):
            yield from (choice for choice in knob.choices if choice is not None)


def _names_a_method(path: str, number: int) -> bool:
    return re.fullmatch(rf"stages\.{number}(\.also\.\d+)?\.method", path) is not None
