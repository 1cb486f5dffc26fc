"""`nlpcompress evaluate`: the quality of every model of a result, on the test set."""

import argparse
import json

from nlpcompress.cli.log import start_log
from nlpcompress.cli.targets import add_folder
from nlpcompress.recipe.measuring import quality
from nlpcompress.recipe.result import open_result, result_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`evaluate FOLDER [evaluate.metrics=[…]] [data.…=…]`"""
    add_folder(parser)


def main(args: argparse.Namespace) -> int:
    """Print `{row: {metric: value}}` as JSON; each row is measured from its own file."""
    start_log()
    job = open_result(args.folder, args.overrides)
    print(json.dumps({row.name: quality(job, row) for row in result_rows(job)}, indent=2))
    return 0
