"""The methods that named trainers stand for: the one place where training knows methods by name.

`methods` and `training` are siblings that do not import each other; a preset looks its method up.
"""

from collections.abc import Mapping
from typing import Any

from nlpcompress.core.config import Config
from nlpcompress.core.method import Method
from nlpcompress.core.registry import Registry

PRESETS = Registry(
    "preset",
    {
        "albert": "nlpcompress.methods.sharing.albert:Albert",
        "channels": "nlpcompress.methods.pruning.channels:Channels",
        "head_importance": "nlpcompress.methods.pruning.head_importance:HeadImportance",
        "hessian_mixed": "nlpcompress.methods.quantization.hessian_mixed:HessianMixed",
        "movement": "nlpcompress.methods.pruning.movement:Movement",
        "layerwise": "nlpcompress.methods.distillation.layerwise:LayerwiseDistillation",
        "logits": "nlpcompress.methods.distillation.logits:LogitsDistillation",
        "triple_loss": "nlpcompress.methods.distillation.triple_loss:TripleLoss",
    },
)


def taught(
    name: str,
    config: Config | Mapping[str, Any] | None,
    teacher: object,
    distillation: Config | Mapping[str, Any] | None,
) -> list[Method]:
    """The method, and with a teacher `logits` beside it, of the config `distillation`."""
    methods = [preset_method(name, config)]
    return methods if teacher is None else [*methods, preset_method("logits", distillation)]


def preset_method(name: str, config: Config | Mapping[str, Any] | None) -> Method:
    """The method with `config`: its own config object, a mapping, or None for the defaults.

    Raises `ConfigError` with every problem of the mapping.
    """
    method = PRESETS.load(name)
    if isinstance(config, method.Config):
        return method(config)
    values = config.to_json() if isinstance(config, Config) else config or {}
    return method(method.Config.parse(values, where="config"))
