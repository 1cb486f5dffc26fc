"""Files that appear whole or not at all: written in a folder beside, flushed, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nlpcompress.core.whole import flush


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """An empty folder on the same disk as `path`, removed at the end.

    What a killed run left in it is removed first. Its name (`.model.onnx.partial`) ends so that
    nobody takes its content for a model.
    """
    folder = path.parent / f".{path.name}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, path: Path) -> None:
    """Move all files of `folder` beside `path`, the one named like `path` last."""
    for source in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
        flush(source)
        os.replace(source, path.parent / source.name)
    flush(path.parent)
