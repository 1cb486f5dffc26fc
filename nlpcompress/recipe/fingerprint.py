"""Hashes of the local files that a recipe reads: when one changes, its stages run again."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from nlpcompress.models.load import resolve
from nlpcompress.recipe.schema import RANDOM, Recipe, StageConfig


def file_hashes(recipe: Recipe) -> dict[str, str]:
    """Name → SHA-256 of the content, for data files and weights that lie on this machine.

    The names are the recipe's, not the machine's: a result stays valid where it is moved to.
    """
    found = {f"data.files.{split}": Path(path) for split, path in recipe.data.files.items()}
    named = [recipe.model.id, *(name for stage in recipe.stages for name in _models(stage))]
    for name in dict.fromkeys(name for name in named if name and name != RANDOM):
        for path in sorted(Path(resolve(name)).glob("*.safetensors")):
            found[f"{name}/{path.name}"] = path
    return {name: _sha256(path) for name, path in found.items() if path.is_file()}


def _models(stage: StageConfig) -> Iterator[str | None]:
    """Beside the one that the recipe starts from."""
    yield from stage.teacher or ()
    if stage.augment is not None:
        yield stage.augment.masked_lm


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
