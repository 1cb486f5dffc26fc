"""The file nlpcompress.json: what was done to a model, and which files the folder consists of."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import FormatError, PlanError

FORMAT_VERSION = 1
FILE_NAME = "nlpcompress.json"
NUMBERS = re.compile(r"\[\n\s+(\d+(?:,\n\s+\d+)*)\n\s+\]")
"""A list of whole numbers, one a line; text in JSON has no line breaks of its own."""


@dataclass(frozen=True)
class Manifest:
    """The plan, the lineage (where the model came from), and the names of the files we wrote."""

    plan: Plan = field(default_factory=Plan)
    lineage: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write nlpcompress.json into `folder`."""
    values = {
        "format_version": FORMAT_VERSION,
        "plan": manifest.plan.to_json(),
        "lineage": manifest.lineage,
        "files": sorted({*manifest.files, FILE_NAME}),
    }
    (folder / FILE_NAME).write_text(_text(values), encoding="utf-8")


def _text(values: Any) -> str:
    """Indented JSON, with lists of whole numbers on one line: a vocabulary is thousands."""
    text = json.dumps(values, indent=2) + "\n"
    return NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def read_manifest(folder: Path) -> Manifest:
    """Read nlpcompress.json; the empty manifest where there is none.

    Raises `FormatError` when it is torn or of a newer version.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return Manifest()
    values = read_json(path)
    version = values.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FormatError(
            f"{path} is of format version {version}, this nlpcompress reads up to version "
            f"{FORMAT_VERSION}; upgrade with `pip install --upgrade nlpcompress`"
        )
    try:
        plan = plan_from_json(values.get("plan", []))
    except PlanError as error:
        raise FormatError(f"{path}: {error}") from error
    return Manifest(plan, values.get("lineage", {}), tuple(values.get("files", ())))


def read_json(path: Path) -> dict[str, Any]:
    """Raises `FormatError` when the file is missing or is not a JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(
            f"cannot read {path}: {error.strerror}; a model folder has this file"
        ) from error
    except ValueError as error:
        raise FormatError(
            f"{path} is torn or not JSON ({error}); save or download the model again"
        ) from error
    if not isinstance(values, dict):
        raise FormatError(f"{path} holds {type(values).__name__}, a JSON object is needed")
    return values
