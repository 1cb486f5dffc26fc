"""Packages that come with an extra, and the error where they are missing."""

import importlib
from types import ModuleType

from nlpcompress.errors import ConfigError

EXTRA_OF = {"openvino": "openvino", "nncf": "openvino"}


def needed(package: str) -> ModuleType:
    """The package. Raises `ConfigError` when it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"{package} is not installed ({error}); install it with "
            f"`pip install nlpcompress[{EXTRA_OF[package]}]`"
        ) from None
