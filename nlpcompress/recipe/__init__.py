"""One YAML file from a trained model to a small one: read, checked, run and resumed."""

from nlpcompress.core.lazy import attributes
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
__getattr__ = attributes(__name__, PUBLIC)
