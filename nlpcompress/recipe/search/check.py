"""Whether what a search may change makes recipes, and whether its trials are judged fairly."""

import logging
from pathlib import Path

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.artefacts import check_row
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.trial import final_values
from nlpcompress.recipe.workspace import RESOLVED
from nlpcompress.search.space import all_paths, corners, settings

logger = logging.getLogger(__name__)


def check_points(recipe: Recipe) -> None:
    """Raises `ConfigError` for paths of a search that lead nowhere, values that cannot be, and a
    row that would not be measured of the result.

    Warns where trials are judged on rows that the model they start from has learnt.
    """
    search = recipe.search
    if search is None:
        return
    if recipe.evaluate.row not in (None, search.row):
        raise ConfigError(
            f"search.row is {search.row}, but evaluate.row has the result measured as "
            f"{recipe.evaluate.row} alone; name the same row, or leave evaluate.row out"
        )
    if not any(path.startswith("export.") for path in all_paths(search.space)):
        check_row(search.row, recipe.export, where="search.row")
    for name, point in zip(("first", "last"), corners(search.space), strict=True):
        for rung in search.rungs:
            values = final_values(recipe, {**settings(search.space, point), **rung})
            parse_recipe(values, origin=f"the search's {name} point")
    if has_learnt_the_rows(recipe):
        logger.warning(
            "search: %s was trained on the rows that trials are judged on, and does better there "
            "than anything made of it; have its training be a stage of this recipe",
            recipe.model.id,
        )


def has_learnt_the_rows(recipe: Recipe) -> bool:
    """Whether the model is a result of ours whose recipe trained on all training rows of these."""
    made_by = Path(recipe.model.id) / RESOLVED
    if not made_by.is_file():
        return False
    before = load_recipe(made_by)
    return bool(before.stages) and not before.data.validation and _rows(before) == _rows(recipe)


def _rows(recipe: Recipe) -> object:
    return recipe.data.name, recipe.data.path, recipe.data.files.get("train")
