"""Every recipe in the repository loads."""

import pytest
from readme_blocks import ROOT

from nlpcompress.methods.table import METHODS
from nlpcompress.recipe import load_recipe

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def name(path) -> str:
    return path.relative_to(ROOT / "recipes").with_suffix("").as_posix()


def test_the_recipes_are_found():
    assert len(RECIPES) >= 5
    assert "quickstart" in map(name, RECIPES)


def test_every_file_below_recipes_is_a_recipe():
    assert [path for path in (ROOT / "recipes").rglob("*") if path.is_file()] != []
    assert {path.suffix for path in (ROOT / "recipes").rglob("*") if path.is_file()} == {".yaml"}


def test_every_method_has_a_smoke_recipe():
    smoke = {name(path) for path in RECIPES}
    assert {f"smoke/{method}" for method in METHODS} <= smoke


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_it_loads(path):
    recipe = load_recipe(path)
    assert recipe.version == 1
    assert len(recipe.stages) >= 1


def test_no_two_recipes_write_to_the_same_folder():
    outs = [load_recipe(path).out for path in RECIPES]
    assert sorted(outs) == sorted(set(outs))
