"""Replaces a folder by a finished new one; neither reader nor killed writer meets half of it."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nlpcompress.core.whole import flush, flush_tree
from nlpcompress.errors import FormatError
from nlpcompress.io.format import read_manifest

WEIGHTS = (
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model-*-of-*.bin",
    "pytorch_model.bin.index.json",
)
"""What a reader could take for the new model's."""
INSIDE = "name a folder inside it"
BETWEEN_RENAMES = 0.1
"""Seconds."""


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A temporary sibling folder to fill; after the block it is synced to disk and takes the place
    of `out`.

    Files in an existing `out` that no earlier save wrote (reports, exports, stages) move into the
    new folder; old weights never do. On an exception `out` is untouched. Raises `FormatError` when
    nothing can be written there, and for a folder that cannot be another: a mount point, or one
    that the process works in.
    """
    recover(out)
    _check_replaceable(out)
    read_manifest(out)
    new = _sibling(out, "new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
    except OSError as error:
        raise FormatError(
            f"cannot write into {out.parent}: {error.strerror}; choose another folder"
        ) from error
    try:
        yield new
        flush_tree(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    _swap(new, out)


def _check_replaceable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise FormatError(f"{out} is a file; choose the name of a folder")
    if out.is_mount():
        raise FormatError(f"{out} is a mount point, which no other folder can replace; {INSIDE}")
    if Path.cwd().is_relative_to(out.resolve()):
        raise FormatError(f"{out} is where this process works, and would be replaced; {INSIDE}")


def readable(out: Path) -> Path:
    """`out`, or the old folder where a killed replacement left it aside and nothing in its place.

    Readers move nothing: a writer may be at work, which takes a moment from one rename to the next,
    and a disk may be read-only.
    """
    old = _sibling(out, "old")
    if not out.exists() and old.exists():
        time.sleep(BETWEEN_RENAMES)
    return old if old.exists() and not out.exists() else out


def recover(out: Path) -> None:
    """Finish or undo a killed replacement: then `out` is the old folder or the new one, whole.

    A writer's part, of which there is one at a time.
    """
    old = _sibling(out, "old")
    if not old.exists():
        return
    if out.exists():
        _finish(old, out)
    else:
        os.replace(old, out)


def _swap(new: Path, out: Path) -> None:
    old = _sibling(out, "old")
    try:
        if out.exists():
            os.replace(out, old)
        os.replace(new, out)
    except OSError as error:
        recover(out)
        shutil.rmtree(new, ignore_errors=True)
        raise FormatError(
            f"cannot put a new folder in the place of {out}: {error.strerror}; choose another"
        ) from error
    flush(out.parent)
    if old.exists():
        _finish(old, out)


def _finish(old: Path, out: Path) -> None:
    for entry in _foreign(old):
        if not (out / entry.name).exists():
            os.replace(entry, out / entry.name)
    # Under this name nothing is ever recovered: a manifest that is gone makes all files foreign.
    gone = _sibling(out, "gone")
    shutil.rmtree(gone, ignore_errors=True)
    os.replace(old, gone)
    shutil.rmtree(gone)


def _foreign(folder: Path) -> Iterable[Path]:
    ours = set(read_manifest(folder).files)
    weights = {path.name for pattern in WEIGHTS for path in folder.glob(pattern)}
    return [path for path in folder.iterdir() if path.name not in ours | weights]


def _sibling(out: Path, what: str) -> Path:
    return out.with_name(f".{out.name}.{what}")
