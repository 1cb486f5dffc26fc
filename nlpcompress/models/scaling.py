"""Configs of picture models, made wider and deeper.

Channels are rounded to multiples of eight that keep 90 % at least, layers up, as EfficientNet's are
(Tan and Le 2019). MobileNets grow in width alone: the number of their blocks is no part of their
config.
"""

import copy
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from transformers import PretrainedConfig

from nlpcompress.core.divisible import divisible
from nlpcompress.errors import ConfigError

EFFICIENTNET_TOP = 1280
"""Channels of the last convolution at width 1."""


class Factors(NamedTuple):
    """Times as many channels, times as many layers."""

    width: float
    depth: float


def scale_config(config: PretrainedConfig, factors: Factors) -> PretrainedConfig:
    """A copy. Raises `ConfigError` for a family that nothing here knows how to scale."""
    scale = FAMILIES.get(config.model_type)
    if scale is None:
        raise ConfigError(
            f"model.scaling: models of type {config.model_type} have no scaling; there is one for "
            f"{', '.join(sorted(FAMILIES))}"
        )
    scaled = copy.deepcopy(config)
    scale(scaled, factors)
    return scaled


def _stages(config: PretrainedConfig, factors: Factors) -> None:
    by = getattr(config, "groups_width", None) or 8
    config.hidden_sizes = [divisible(size * factors.width, by) for size in config.hidden_sizes]
    config.depths = [_layers(depth, factors) for depth in config.depths]


def _stem_and_stages(config: PretrainedConfig, factors: Factors) -> None:
    config.embedding_size = divisible(config.embedding_size * factors.width)
    _stages(config, factors)


def _multiplier(config: PretrainedConfig, factors: Factors) -> None:
    config.depth_multiplier *= factors.width  # its name for the width


def _coefficients(config: PretrainedConfig, factors: Factors) -> None:
    config.width_coefficient *= factors.width
    config.depth_coefficient *= factors.depth
    config.hidden_dim = divisible(EFFICIENTNET_TOP * config.width_coefficient, config.depth_divisor)


def _layers(count: int, factors: Factors) -> int:
    return max(1, math.ceil(round(count * factors.depth, 6)))


FAMILIES: Mapping[str, Callable[[PretrainedConfig, Factors], None]] = MappingProxyType(
    {
        "convnext": _stages,
        "convnextv2": _stages,
        "efficientnet": _coefficients,
        "mobilenet_v1": _multiplier,
        "mobilenet_v2": _multiplier,
        "regnet": _stem_and_stages,
        "resnet": _stem_and_stages,
    }
)
"""Model type → what changes its config."""
