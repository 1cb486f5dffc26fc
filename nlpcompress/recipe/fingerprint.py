"""Hashes of the local files that a recipe reads: when one changes, its stages run again."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from nlpcompress.io.contents import PROCESSOR, STRUCTURE, WEIGHTS
from nlpcompress.models.load import resolve
from nlpcompress.recipe.schema import RANDOM, Recipe, StageConfig
from nlpcompress.recipe.workspace import digest

READ = (*WEIGHTS, "*.safetensors", "*.bin", *STRUCTURE, *PROCESSOR)
"""What is read of a model's folder: patterns of file names."""


def recipe_digest(recipe: Recipe) -> str:
    """The hash of a resolved recipe, wherever its result lies."""
    return digest({**recipe.to_json(), "out": None})


def file_hashes(recipe: Recipe) -> dict[str, str]:
    """Name → SHA-256 of the content, for data files and models that lie on this machine.

    Of `data.path`, where a whole package may lie, it is that of the files' names and sizes. The
    names are the recipe's, not the machine's: a result stays valid where it is moved to.
    """
    files = {split: Path(path).expanduser() for split, path in recipe.data.files.items()}
    found = {f"data.files.{split}": _sha256(p) for split, p in files.items() if p.is_file()}
    if recipe.data.path is not None:
        found["data.path"] = _listing(Path(recipe.data.path).expanduser())
    for name in dict.fromkeys(_models(recipe)):
        found |= {f"{name}/{path.name}": _sha256(path) for path in _read(Path(resolve(name)))}
    return found


def _models(recipe: Recipe) -> Iterator[str]:
    """All that the recipe names: its own, its processor's, and those that stages add."""
    named = [recipe.model.id, recipe.model.processor]
    for stage in recipe.stages:
        named += _of_stage(stage)
    return (name for name in named if name and name != RANDOM)


def _of_stage(stage: StageConfig) -> list[str | None]:
    return [*(stage.teacher or ()), stage.augment and stage.augment.masked_lm]


def _read(folder: Path) -> list[Path]:
    return sorted({path for pattern in READ for path in folder.glob(pattern) if path.is_file()})


def _listing(place: Path) -> str:
    """Of a folder's files, or of one file."""
    paths = sorted(place.rglob("*")) if place.is_dir() else [place]
    told = [(str(p.relative_to(place)), p.stat().st_size) for p in paths if p.is_file()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
