"""Folders of compressed models: written whole or not at all, reloaded exactly, pushed to the hub.

The names below are imported when first used: the load hook lives in this package and runs while
transformers itself is being imported.
"""

from nlpcompress.core.lazy import attributes
from nlpcompress.core.registry import Registry

PUBLIC = Registry(
    "name in nlpcompress.io",
    {
        "save_model": "nlpcompress.io.save:save_model",
        "load_model_folder": "nlpcompress.io.load:load_model_folder",
        "register": "nlpcompress.io.loader:register",
        "round_to_int8": "nlpcompress.io.storage:round_to_int8",
        "push": "nlpcompress.io.hub:push",
        "model_card": "nlpcompress.io.card:model_card",
    },
)
__all__ = list(PUBLIC)
__getattr__ = attributes(__name__, PUBLIC)
