"""Files that are whole or not there, also after a kill or a power cut."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, alone: bool = True) -> Iterator[Path]:
    """A name beside `path` to write to; when the block is through, the file takes `path`'s place.

        with whole_file(folder / "report.json") as temporary:
            temporary.write_text(text)

    The folder is made where there is none. What fails leaves `path` as it was. `alone=False` is for
    files that several processes may write at once; one that is killed then leaves its own behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Machines that share a folder may have processes of the same number.
    unique = "" if alone else f"{os.getpid()}-{secrets.token_hex(4)}."
    temporary = path.with_name(f".{path.name}.{unique}tmp")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Write a text file in UTF-8 that is whole or as it was before."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Wait until every file below a folder is on the disk, and every list of names."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            flush(path)
    flush(folder)
