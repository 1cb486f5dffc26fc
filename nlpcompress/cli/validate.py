"""`nlpcompress validate`: every problem of a recipe at once, or the recipe with all defaults."""

import argparse

from nlpcompress.cli.targets import add_recipe
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.search.check import check_points
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.recipe.text import to_yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`validate RECIPE [key.path=value …]`"""
    add_recipe(parser)


def main(args: argparse.Namespace) -> int:
    """Print the resolved recipe as YAML."""
    recipe = load_recipe(find_recipe(args.recipe), args.overrides)
    check_points(recipe)
    print(to_yaml(recipe.to_json()), end="")
    return 0
