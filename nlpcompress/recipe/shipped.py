"""Recipes by name: those in `./recipes`, then those of the checkout this package runs from."""

from pathlib import Path

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[2]


def shipped_recipes() -> dict[str, Path]:
    """Name (`quickstart`, `smoke/logits`) → file, sorted. Empty where no recipes folder is near."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.rglob("*.yaml")):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return dict(sorted(found.items()))


def find_recipe(name: str) -> Path:
    """The recipe file, result folder or shipped recipe that a command names.

    Raises `ConfigError` with the nearest shipped name.
    """
    path, known = Path(name), shipped_recipes()
    if path.is_file() or (path / "recipe.yaml").is_file():
        return path
    if name in known:
        return known[name]
    if path.is_dir():
        raise ConfigError(f"the folder {path} holds no recipe.yaml; `nlpcompress run` writes one")
    raise ConfigError(
        f"no recipe file, result folder or shipped recipe '{name}'{nearest(name, known)}"
    )


def is_recipe(name: str) -> bool:
    """Whether `find_recipe` would find it as a recipe file or a shipped recipe."""
    return Path(name).is_file() or name in shipped_recipes()


def _folders() -> list[Path]:
    checkout = CHECKOUT / "recipes" if (CHECKOUT / "pyproject.toml").is_file() else None
    places = [Path("recipes"), checkout]
    return [place for place in places if place is not None and place.is_dir()]
