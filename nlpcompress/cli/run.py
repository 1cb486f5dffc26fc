"""`nlpcompress run`: the whole job of a recipe, from where it stands."""

import argparse

from nlpcompress.cli.log import start_log
from nlpcompress.cli.targets import add_recipe, report_text
from nlpcompress.recipe.launch import join
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.run import run_recipe
from nlpcompress.recipe.shipped import find_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`run RECIPE [key.path=value …]`"""
    add_recipe(parser)


def main(args: argparse.Namespace) -> int:
    """Run, and print the table of the report."""
    start_log()
    recipe = load_recipe(find_recipe(args.recipe), args.overrides)
    run_recipe(recipe)
    if join().is_main_process:
        print(report_text(str(recipe.out)))
        print(f"{recipe.out}: the model, and report.html")
    return 0
