"""`nlpcompress export`: the ONNX files of a result again, for instance after a run without them."""

import argparse

from nlpcompress.cli.log import start_log
from nlpcompress.cli.targets import add_folder
from nlpcompress.recipe.exporting import ONNX, export_model
from nlpcompress.recipe.result import open_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`export FOLDER [--quantize none|dynamic-int8] [export.max_metric_drop=…]`"""
    parser.add_argument(
        "--quantize", choices=["none", "dynamic-int8"], help="default: as the recipe says"
    )
    add_folder(parser)


def main(args: argparse.Namespace) -> int:
    """Write onnx/ and print the files in it. Raises `ParityError` when they do not agree."""
    start_log()
    wanted = ["export.onnx=true"]
    if args.quantize is not None:
        wanted.append(f"export.quantize={args.quantize}")
    job = open_result(args.folder, [*wanted, *args.overrides])
    folder = job.workspace.out / ONNX
    export_model(job, job.workspace.out, folder, gate=True)
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:>12,} bytes  {path}")
    return 0
