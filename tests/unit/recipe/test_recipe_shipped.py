"""Every recipe in the repository is found by name and passes its checks."""

from pathlib import Path

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.shipped import CHECKOUT, find_recipe, shipped_recipes

RECIPES = sorted((CHECKOUT / "recipes").rglob("*.yaml"))


def test_every_file_has_a_name():
    assert len(shipped_recipes()) == len(RECIPES) >= 5
    assert {"quickstart", "smoke/logits"} <= set(shipped_recipes())


def test_every_method_has_a_smoke_recipe():
    assert {f"smoke/{name}" for name in METHODS} <= set(shipped_recipes())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid(path):
    recipe = load_recipe(path)
    if path.parent.name == "smoke":
        shown = {stage.method for stage in recipe.stages} | ({"search"} if recipe.search else set())
        assert path.stem in shown
        assert recipe.model.id == "random"


def test_a_name_a_file_and_a_folder_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("version: 1\n")
    assert find_recipe(".") == Path(".")
    assert find_recipe("recipe.yaml") == Path("recipe.yaml")
    assert find_recipe("quickstart").name == "quickstart.yaml"


def test_a_misspelt_name_and_a_foreign_folder_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="shipped recipe 'quikstart'; did you mean 'quickstart'"):
        find_recipe("quikstart")
    with pytest.raises(ConfigError, match=r"holds no recipe\.yaml"):
        find_recipe(".")
