"""`nlpcompress show`: what a result folder holds, what a recipe says, how a method is used."""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nlpcompress.cli.method_page import method_page
from nlpcompress.cli.targets import report_text
from nlpcompress.errors import FormatError
from nlpcompress.io.format import read_manifest
from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.recipe.text import to_yaml

SHOWN = ("config.json", "*.safetensors", "nlpcompress.json", "onnx/*", "report.*", "README.md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`show FOLDER|RECIPE|METHOD`"""
    parser.add_argument("target", help="a result folder or a saved model's, a recipe, or a method")


def main(args: argparse.Namespace) -> int:
    """Print the files, the plan in short and the report's table; of a recipe, the whole of it; of a
    method its page.
    """
    folder = Path(args.target)
    if folder.is_dir():
        lines = list(_folder(folder))
    elif args.target in METHODS:
        lines = list(method_page(args.target))
    else:
        lines = [to_yaml(load_recipe(find_recipe(args.target)).to_json()).rstrip()]
    print("\n".join(lines))
    return 0


def _folder(folder: Path) -> Iterator[str]:
    if not (folder / "config.json").is_file():
        state = "its run has not ended" if (folder / ".stages").is_dir() else "it holds no model"
        raise FormatError(f"{folder} has no config.json: {state}; see `nlpcompress run`")
    manifest = read_manifest(folder)
    yield f"base: {manifest.lineage.get('base', 'unknown')}"
    for number, stage in enumerate(manifest.lineage.get("stages", ()), start=1):
        yield f"stage {number}: {stage['method']}"
    for op, count in Counter(edit.op for edit in manifest.plan).items():
        yield f"edits: {count} {op}"
    for pattern in SHOWN:
        yield from _sizes(folder, pattern)
    if (folder / "report.md").is_file():
        yield from ("", report_text(folder))


def _sizes(folder: Path, pattern: str) -> Iterator[str]:
    for path in sorted(folder.glob(pattern)):
        yield f"{path.stat().st_size:>12,} bytes  {path.relative_to(folder)}"
