"""`nlpcompress scan`: how far each axis of a result can be cut before quality falls."""

import argparse
import json

from nlpcompress.cli.log import start_log
from nlpcompress.cli.targets import add_folder
from nlpcompress.io.load import load_model_folder
from nlpcompress.recipe.result import open_result
from nlpcompress.recipe.scan import scan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`scan FOLDER [evaluate.metrics=[…]] [--samples N] [--keep SHARE …]`"""
    parser.add_argument(
        "--keep",
        type=float,
        nargs="+",
        default=[0.75, 0.5, 0.25],
        help="shares of an axis that stay",
    )
    parser.add_argument("--samples", type=int, default=512, help="training rows to measure on")
    add_folder(parser)


def main(args: argparse.Namespace) -> int:
    """Print `{samples, whole: {metric: value}, axes: {axis: {size, keep: {share: …}}}}` as JSON."""
    start_log()
    job = open_result(args.folder, args.overrides)
    model = load_model_folder(job.workspace.out)
    found = scan(job, model, shares=args.keep, samples=args.samples)
    print(json.dumps(found.to_json(), indent=2))
    return 0
