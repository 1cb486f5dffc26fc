"""Reports that stay of runs whose models do not."""

from pathlib import Path

from nlpcompress.bench import Report, read_report
from nlpcompress.bench.report import FILE as REPORT
from nlpcompress.recipe.fingerprint import recipe_digest
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.workspace import RESOLVED, copy_whole

KEPT = (RESOLVED, "report.md", "report.html", REPORT)
"""The last one last: it says that all are there."""


def kept_report(folder: Path, recipe: Recipe) -> Report | None:
    """What was kept in the folder of a run of this recipe; None where nothing was."""
    if not (folder / REPORT).is_file():
        return None
    report = read_report(folder)
    return report if report.recipe_hash == recipe_digest(recipe) else None


def keep_report(made: Path, folder: Path) -> None:
    """Copy from the folder that a run made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (made / name).is_file():
            copy_whole(made / name, folder / name)
