"""Where sources that cannot be fetched by name are found on this machine."""

import os
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from nlpcompress.errors import DataError

ENVIRONMENT_VARIABLE = "NLPCOMPRESS_DATA"


@dataclass(frozen=True)
class Archive:
    """A file to find: `pattern` is a glob of its name, `command` brings it into `{folder}`."""

    what: str
    pattern: str
    command: str


def folders() -> tuple[Path, ...]:
    """Searched in this order: $NLPCOMPRESS_DATA if set, `.data` here, `~/.cache/nlpcompress`."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    usual = (Path(".data"), Path.home() / ".cache" / "nlpcompress")
    return (Path(named).expanduser(), *usual) if named else usual


def find_archive(archive: Archive, path: str | None) -> Path:
    """The archive's file: `path` itself or in it when given, else in one of `folders()`.

    Raises `DataError` that says how to get it.
    """
    places = (Path(path).expanduser(),) if path is not None else folders()
    if path is not None and places[0].is_file():
        return places[0]
    for place in places:
        found = sorted(place.glob(archive.pattern)) if place.is_dir() else []
        if found:
            return found[-1]
    raise DataError(_missing(archive, places))


def open_zip(path: Path) -> zipfile.Path:
    """The root of a zip or wheel.

    Raises `DataError` when it is not one, for instance cut off while downloading.
    """
    try:
        return zipfile.Path(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a zip archive ({error}); delete it and download it again"
        ) from None


def find_in_package(
    archive: Archive, path: str | None, *, distribution: str, inner: str
) -> Path | zipfile.Path:
    """The folder `inner` of a data package: at `path`, installed, or in its downloaded wheel.

    The package is never imported. `path` may be the folder itself. Raises `DataError`.
    """
    folder = Path(path).expanduser() if path is not None else None
    if folder is not None and folder.is_dir() and not list(folder.glob(archive.pattern)):
        return folder
    if path is None and (installed := _installed(distribution, inner)) is not None:
        return installed
    wheel = find_archive(archive, path)
    inside = open_zip(wheel) / f"{inner}/"
    if not inside.exists():
        raise DataError(
            f"{wheel} has no folder {inner}; it is not the wheel that {archive.what} is read from"
        )
    return inside


def _installed(distribution: str, inner: str) -> Path | None:
    try:
        folder = Path(str(metadata.distribution(distribution).locate_file(inner)))
    except metadata.PackageNotFoundError:
        return None
    return folder if folder.is_dir() else None


def _missing(archive: Archive, places: tuple[Path, ...]) -> str:
    where = ", ".join(str(place) for place in places)
    return (
        f"{archive.what} is read from {archive.pattern}, which was not found (searched: {where}). "
        f"Get it with `{archive.command.format(folder=places[0])}`, or set data.path, or "
        f"{ENVIRONMENT_VARIABLE}, to where it lies"
    )
