"""A report on disk: report.json, and the same numbers as report.md and report.html."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlpcompress.bench.page import html, markdown
from nlpcompress.bench.rows import Report
from nlpcompress.bench.verdict import best_by_runtime, verdict
from nlpcompress.core.whole import write_whole
from nlpcompress.errors import ConfigError, FormatError

FILE = "report.json"
FORMAT_VERSION = 1
DERIVED = ("verdict", "best")
"""What report.json says of its own rows."""


def write_report(
    report: Report, out: str | Path, *, recipe: Mapping[str, Any] | None = None
) -> Path:
    """Write all three files into `out`, each whole or not at all, and give report.json's path.

    The page ends with the `recipe`, where there is one.
    """
    best = {runtime: row.name for runtime, row in best_by_runtime(report).items() if runtime}
    first = {"format_version": FORMAT_VERSION, "verdict": verdict(report), "best": best}
    values = {**first, **report.to_json()}
    write_whole(Path(out) / "report.md", markdown(report))
    write_whole(Path(out) / "report.html", html(report, recipe))
    write_whole(Path(out) / FILE, json.dumps(values, indent=1))
    return Path(out) / FILE


def read_report(out: str | Path) -> Report:
    """The report in folder `out`. Raises `FormatError` when there is none or it cannot be read."""
    path = Path(out) / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.pop("format_version", None)
        for told in DERIVED:
            values.pop(told, None)
    except FileNotFoundError:
        raise FormatError(f"there is no {path}; `nlpcompress run` writes one") from None
    except (ValueError, AttributeError) as error:
        raise FormatError(f"{path} is torn or no report: {error}; run the recipe again") from None
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{path} has format_version {version}, this nlpcompress reads {FORMAT_VERSION}; "
            "read it with the version that wrote it"
        )
    try:
        return Report.parse(values, where=FILE)
    except ConfigError as error:
        raise FormatError(f"{path} is no report: {error}") from None
