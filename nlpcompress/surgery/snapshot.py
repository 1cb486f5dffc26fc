"""Remembers a model's modules and configs, and puts them back when a cut fails."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

TABLES = ("_parameters", "_buffers", "_modules")


@contextmanager
def put_back_on_error(model: nn.Module) -> Iterator[None]:
    """On an exception undo all changes of modules, attributes, configs, and tensors replaced.

    Tensors that were written into keep what was written.
    """
    modules = [(module, _contents(module)) for module in model.modules()]
    configs = [(config, copy.deepcopy(vars(config))) for config in _configs(model)]
    try:
        yield
    except BaseException:
        for module, (attributes, tables) in modules:
            _refill(vars(module), attributes)
            for name, table in tables.items():
                _refill(vars(module)[name], table)
        for config, attributes in configs:
            _refill(vars(config), attributes)
        raise


def _contents(module: nn.Module) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    attributes = vars(module)
    return dict(attributes), {name: dict(attributes[name]) for name in TABLES}


def _configs(model: nn.Module) -> list[Any]:
    kinds = ("config", "generation_config")
    configs = [getattr(module, kind, None) for module in model.modules() for kind in kinds]
    return list({id(config): config for config in configs if hasattr(config, "__dict__")}.values())


def _refill(target: dict[str, Any], values: dict[str, Any]) -> None:
    target.clear()
    target.update(values)
