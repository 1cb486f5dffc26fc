"""Puts the finished model into the result folder so that no half of it can ever be opened."""

import shutil
from pathlib import Path

from nlpcompress.errors import FormatError
from nlpcompress.io.format import read_manifest
from nlpcompress.recipe.workspace import copy_whole

ENTRY = "config.json"
"""Without this file nothing opens the folder: it goes first and comes last."""
REPORTS = ("report.json", "report.md", "report.html", "README.md", "recipe.yaml")


def publish_model(source: Path, out: Path) -> None:
    """Make `out` hold the model of `source`, and nothing of a run before it."""
    unpublish(out)
    publish_files(source, out)


def unpublish(out: Path) -> None:
    """Take away what an earlier run has put there; the parts stay, and so does what is not ours."""
    (out / ENTRY).unlink(missing_ok=True)
    for name in {Path(name).name for name in _earlier(out)} | set(REPORTS):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "onnx", ignore_errors=True)


def publish_files(source: Path, out: Path) -> None:
    """Copy the files of `source`, each whole, the entry last."""
    names = sorted(path.name for path in source.iterdir() if path.is_file())
    for name in sorted(names, key=lambda name: name == ENTRY):
        copy_whole(source / name, out / name)


def _earlier(out: Path) -> tuple[str, ...]:
    try:
        return read_manifest(out).files
    except FormatError:
        return ()
