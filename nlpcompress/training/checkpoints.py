"""Checkpoints that are either whole or not there: a marker, written last, names every file.

A folder `checkpoint-200` counts only if its `complete.json` lists files that are all there with
the sizes they had. A killed save leaves no marker; a killed deletion has removed it first.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from nlpcompress.core.whole import flush, write_whole
from nlpcompress.errors import FormatError

MARKER = "complete.json"
FORMAT_VERSION = 1
_NAME = re.compile(r"checkpoint-(\d+)")


def last_checkpoint(folder: str | Path) -> str | None:
    """The whole checkpoint of the highest step in `folder`, or None. Torn ones are passed over."""
    whole = [path for path in _checkpoints(Path(folder)) if is_complete(path)]
    return str(whole[-1]) if whole else None


def is_complete(checkpoint: Path) -> bool:
    """Whether the checkpoint has its marker and every file that the marker names."""
    try:
        marker = json.loads((checkpoint / MARKER).read_text())
        sizes = {name: (checkpoint / name).stat().st_size for name in marker["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return marker.get("format_version") == FORMAT_VERSION and sizes == marker["files"]


def require_complete(checkpoint: str | Path) -> str:
    """The checkpoint's path. Raises `FormatError` for a torn one."""
    if not is_complete(Path(checkpoint)):
        raise FormatError(
            f"'{checkpoint}' is no whole checkpoint: its {MARKER} is missing, or files that it "
            "names are missing or cut short; resume from another (last_checkpoint(folder) finds it)"
        )
    return str(checkpoint)


def unmark(checkpoint: Path) -> None:
    """Take the marker away, before anything in the checkpoint changes."""
    if (checkpoint / MARKER).exists():
        (checkpoint / MARKER).unlink()
        flush(checkpoint)


def mark_complete(checkpoint: Path) -> None:
    """Bring every file to the disk, then the marker, which appears in one step.

    Until then it lies outside: no save that a kill broke off leaves a part of it among the files.
    """
    names = sorted(str(p.relative_to(checkpoint)) for p in checkpoint.rglob("*") if p.is_file())
    for name in names:
        flush(checkpoint / name)
    sizes = {name: (checkpoint / name).stat().st_size for name in names}
    unfinished = checkpoint.with_name(f".{checkpoint.name}.{MARKER}")
    write_whole(
        unfinished, json.dumps({"format_version": FORMAT_VERSION, "files": sizes}, indent=2)
    )
    unfinished.replace(checkpoint / MARKER)
    flush(checkpoint)
    flush(checkpoint.parent)


def rotate(folder: Path, *, limit: int | None, best: str | None) -> None:
    """Delete the oldest checkpoints over `limit` (None or 0: none), never the newest or `best`."""
    if not limit or limit < 0:
        return
    checkpoints = list(_checkpoints(folder))
    protected = {checkpoint.name for checkpoint in checkpoints[-1:]}
    if best is not None:
        protected.add(Path(best).name)
    surplus = len(checkpoints) - max(limit, len(protected))
    for checkpoint in [c for c in checkpoints if c.name not in protected][: max(surplus, 0)]:
        unmark(checkpoint)
        shutil.rmtree(checkpoint, ignore_errors=True)


def _checkpoints(folder: Path) -> Iterator[Path]:
    """The checkpoint folders, by step."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*")]
    named = [(int(match[1]), path) for match, path in found if match and path.is_dir()]
    yield from (path for _, path in sorted(named))
