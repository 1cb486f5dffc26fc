"""What several verbs share: arguments, and the report as they print it."""

import argparse
from pathlib import Path


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """`recipe` and `overrides`."""
    parser.add_argument(
        "recipe", help="a recipe file, a name from `nlpcompress ls recipes`, or a result folder"
    )
    add_overrides(parser)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """`folder` and `overrides`."""
    parser.add_argument("folder", help="a result folder: what `out` of a run names")
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """`key.path=value …`"""
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key.path=value",
        help="laid over the recipe: out=DIR, seed=1, stages.1.config.keep=0.6",
    )


def report_text(folder: str | Path) -> str:
    """The Markdown page of the report in a result folder."""
    return (Path(folder) / "report.md").read_text(encoding="utf-8")
