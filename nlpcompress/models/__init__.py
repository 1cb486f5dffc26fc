"""Models by task, example inputs, the stack of layers, and how shapes differ from the stock ones.

The names below are imported when first used: the load hook runs while transformers itself is being
imported, and may touch `structure` only.
"""

from nlpcompress.core.lazy import attributes
from nlpcompress.core.registry import Registry

PUBLIC = Registry(
    "name in nlpcompress.models",
    {
        "TASKS": "nlpcompress.models.tasks:TASKS",
        "resolve": "nlpcompress.models.load:resolve",
        "load_model": "nlpcompress.models.load:load_model",
        "load_processor": "nlpcompress.models.load:load_processor",
        "example_inputs": "nlpcompress.models.examples:example_inputs",
        "layers_of": "nlpcompress.models.layers:layers_of",
        "record_structure": "nlpcompress.models.record:record_structure",
    },
)
__all__ = list(PUBLIC)
__getattr__ = attributes(__name__, PUBLIC)
