"""Marks of the local files that a recipe reads: when one changes, its stages run again."""

from pathlib import Path

from nlpcompress.models.load import resolve
from nlpcompress.recipe.schema import RANDOM, Recipe


def file_marks(recipe: Recipe) -> dict[str, list[int]]:
    """File → its size and time of change (ns), for data files and weights that are local."""
    marks: dict[str, list[int]] = {}
    for path in [*map(Path, recipe.data.files.values()), *_weights(recipe)]:
        if path.is_file():
            status = path.stat()
            marks[str(path)] = [status.st_size, status.st_mtime_ns]
    return marks


def _weights(recipe: Recipe) -> list[Path]:
    named = [recipe.model.id, *(stage.teacher for stage in recipe.stages)]
    folders = [Path(resolve(name)) for name in named if name and name != RANDOM]
    return sorted(file for folder in folders for file in folder.glob("*.safetensors"))
