"""`nlpcompress report`: the Markdown and HTML pages again, from report.json."""

import argparse
from pathlib import Path

from nlpcompress.bench import read_report, write_report
from nlpcompress.cli.targets import report_text
from nlpcompress.recipe.text import read_yaml
from nlpcompress.recipe.workspace import RESOLVED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`report FOLDER`"""
    parser.add_argument("folder", help="a result folder: what `out` of a run names")


def main(args: argparse.Namespace) -> int:
    """Write report.md and report.html, and print the former."""
    recipe = Path(args.folder) / RESOLVED
    values = read_yaml(recipe) if recipe.is_file() else None
    write_report(read_report(args.folder), args.folder, recipe=values)
    print(report_text(args.folder))
    return 0
