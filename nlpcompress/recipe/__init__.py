"""One YAML file from a trained model to a small one: read, checked, run and resumed."""

from typing import Any

from nlpcompress.core.registry import Registry

PUBLIC = Registry(
    "name in nlpcompress.recipe",
    {
        "Recipe": "nlpcompress.recipe.schema:Recipe",
        "load_recipe": "nlpcompress.recipe.load:load_recipe",
        "run_recipe": "nlpcompress.recipe.run:run_recipe",
    },
)
__all__ = list(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'nlpcompress.recipe' has no attribute {name!r}")
    return PUBLIC.load(name)
