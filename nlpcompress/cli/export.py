"""`nlpcompress export`: a result's ONNX files again, or a folder in a format of others."""

import argparse
import tempfile
from pathlib import Path
from typing import get_args

from nlpcompress.cli.log import start_log
from nlpcompress.cli.targets import add_folder
from nlpcompress.errors import ConfigError
from nlpcompress.recipe.exporting import COMPRESSED_TENSORS, ONNX, export_model, export_packed
from nlpcompress.recipe.publish import publish_files
from nlpcompress.recipe.result import open_result
from nlpcompress.recipe.schema import Quantize
from nlpcompress.recipe.smaller import FILES
from nlpcompress.recipe.workspace import PARTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`export FOLDER [--format onnx|compressed-tensors]
    [--quantize none|dynamic-int8|static-int8|nncf-int8|codes] [export.max_metric_drop=…]`
    """
    parser.add_argument(
        "--format",
        choices=[ONNX, COMPRESSED_TENSORS],
        default=ONNX,
        help="compressed-tensors: a quantized model for transformers without nlpcompress",
    )
    parser.add_argument(
        "--quantize",
        choices=get_args(Quantize),
        help="of ONNX; default: as the recipe says",
    )
    add_folder(parser)


def main(args: argparse.Namespace) -> int:
    """Write onnx/ or compressed-tensors/ and print the files in it.

    In onnx/ are then the files that its parity.json tells of: earlier ones in other ways are gone.
    Raises `ParityError` when ONNX files do not agree, which leaves onnx/ as it was, `FormatError`
    when the format cannot say the model.
    """
    start_log()
    folder = _onnx(args) if args.format == ONNX else _packed(args)
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:>12,} bytes  {path}")
    return 0


def _onnx(args: argparse.Namespace) -> Path:
    wanted = ["export.onnx=true"]
    if args.quantize is not None:
        wanted.append(f"export.quantize={args.quantize}")
    job = open_result(args.folder, [*wanted, *args.overrides])
    out = job.workspace.out
    with job.workspace.opened(), tempfile.TemporaryDirectory(dir=out / PARTS) as checked:
        export_model(job, out, Path(checked), after=job.last, gate=True)
        (out / ONNX).mkdir(exist_ok=True)
        publish_files(Path(checked), out / ONNX)
        for name in set(FILES.values()) - {path.name for path in Path(checked).iterdir()}:
            (out / ONNX / name).unlink(missing_ok=True)
    return out / ONNX


def _packed(args: argparse.Namespace) -> Path:
    if args.quantize is not None or args.overrides:
        raise ConfigError(f"--format {args.format} takes no --quantize and no overrides")
    return export_packed(Path(args.folder))
