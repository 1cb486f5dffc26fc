"""`nlpcompress ls`: the names that recipes may use, one a line."""

import argparse
import importlib
from collections.abc import Iterable

from nlpcompress.recipe.shipped import shipped_recipes

TABLES = {
    "methods": "nlpcompress.methods.table:METHODS",
    "data": "nlpcompress.data.table:DATASETS",
    "metrics": "nlpcompress.evaluation.metrics:METRICS",
    "tasks": "nlpcompress.models.tasks:TASKS",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ls methods|recipes|data|metrics|tasks`"""
    parser.add_argument("what", choices=[*TABLES, "recipes"], help="which names")


def main(args: argparse.Namespace) -> int:
    """Print the names, sorted; of a recipe also where its file is."""
    if args.what == "recipes":
        recipes = shipped_recipes()
        width = max(map(len, recipes), default=0)
        lines: Iterable[str] = (f"{name:<{width}}  {path}" for name, path in recipes.items())
    else:
        module, _, table = TABLES[args.what].partition(":")
        lines = sorted(getattr(importlib.import_module(module), table))
    for line in lines:
        print(line)
    return 0
