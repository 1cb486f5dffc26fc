"""Whether what a search may change makes recipes at all."""

from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.trial import final_values
from nlpcompress.search.space import corners, settings


def check_points(recipe: Recipe) -> None:
    """Raises `ConfigError` for paths of a search that lead nowhere, and values that cannot be."""
    search = recipe.search
    if search is None:
        return
    for name, point in zip(("first", "last"), corners(search.space), strict=True):
        for rung in search.rungs:
            values = final_values(recipe, {**settings(search.space, point), **rung})
            parse_recipe(values, origin=f"the search's {name} point")
