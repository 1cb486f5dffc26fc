"""`parity.json`: what each exported file of a folder was compared with, and what was seen."""

import json
from collections.abc import Mapping
from pathlib import Path

from nlpcompress.core.whole import write_whole
from nlpcompress.errors import FormatError
from nlpcompress.export.parity import Parity

FORMAT_VERSION = 1


def write_parity(path: str | Path, models: Mapping[str, Parity]) -> Path:
    """Write `{file name: Parity}` as JSON, whole or not at all; return the path."""
    path = Path(path)
    content = {
        "format_version": FORMAT_VERSION,
        "models": {name: parity.to_json() for name, parity in models.items()},
    }
    write_whole(path, json.dumps(content, indent=2) + "\n")
    return path


def read_parity(path: str | Path) -> dict[str, Parity]:
    """What `write_parity` wrote. Raises `FormatError` for anything else."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, models = content["format_version"], content["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"'{path}' is not a parity record: {error}") from error
    if version != FORMAT_VERSION:
        raise FormatError(
            f"'{path}' has format version {version}, this nlpcompress reads {FORMAT_VERSION}"
        )
    return {name: Parity.parse(values, where=name) for name, values in models.items()}
