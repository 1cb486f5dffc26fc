"""The result folder: parts of the work under the hash of their description, each done or not."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcompress.core.whole import flush_tree, whole_file, write_whole
from nlpcompress.errors import ConfigError, LaunchError

PARTS = ".stages"
MARKER = "done.json"
RESOLVED = "recipe.yaml"
"""The file of a result folder that holds its recipe with every default filled in."""


def digest(description: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the SHA-256 of a description's canonical JSON."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Part:
    """A folder for one piece of work; done once its record, written last, lies in it."""

    folder: Path
    description: Mapping[str, Any]

    @property
    def record(self) -> dict[str, Any] | None:
        """What `finish` wrote; None while the work is not done."""
        try:
            return json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Mark the work done, after all it made is on the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / "description.json", json.dumps(self.description, indent=1))
        flush_tree(self.folder)
        write_whole(self.folder / MARKER, json.dumps(dict(record), indent=1))
        return dict(record)


class Workspace:
    """`<out>`, checked to be ours and writable, with one folder a part in `<out>/.stages`."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def part(self, description: Mapping[str, Any]) -> Part:
        """The folder of the work so described; nothing is written."""
        return Part(self.out / PARTS / digest(description), dict(description))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises `ConfigError` when it cannot be written or holds something that is not ours,
        `LaunchError` when another process holds it.
        """
        self.claim()
        with self._lock():
            yield

    def claim(self) -> None:
        """Make the folder ours. Raises `ConfigError` as `opened` does."""
        try:
            (self.out / PARTS).parent.mkdir(parents=True, exist_ok=True)
            foreign = sorted(p.name for p in self.out.iterdir()) if not self._is_ours() else []
            if foreign:
                raise ConfigError(
                    f"out: the folder {self.out} holds files that no run made ({_some(foreign)}); "
                    "choose another with out=DIR, or empty it"
                )
            (self.out / PARTS).mkdir(exist_ok=True)
            with (self.out / PARTS / "lock").open("a"):
                pass
        except OSError as error:
            raise ConfigError(
                f"out: cannot write to {self.out} ({error.strerror or error}); "
                "choose a folder that you may write to, with out=DIR"
            ) from None

    def _is_ours(self) -> bool:
        return (self.out / PARTS).is_dir()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """The system drops the lock with the process, however it ends."""
        with (self.out / PARTS / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LaunchError(
                    f"another process is working in {self.out}; wait for it or choose another "
                    "folder with out=DIR. If one launcher started both, they do not know of each "
                    "other: launch them with torchrun or `accelerate launch --multi_gpu`"
                ) from None
            yield


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that `target` is either whole or as it was."""
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)


def _some(names: list[str], limit: int = 3) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
