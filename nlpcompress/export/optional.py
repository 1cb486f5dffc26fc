"""Packages that come with an extra, and the error where they are missing."""

import importlib
import importlib.util
import sys
from types import ModuleType

from nlpcompress.errors import ConfigError

EXTRA_OF = {"openvino": "openvino", "nncf": "openvino"}
TELLTALE = "openvino_telemetry"
"""Reports the use of both to their makers, from processes that it forks out of a thread of ours;
without it they report nothing.
"""


def installed(package: str) -> bool:
    """Whether it can be had; nothing is imported."""
    return importlib.util.find_spec(package) is not None


def needed(package: str) -> ModuleType:
    """The package, kept from reporting its use. Raises `ConfigError` when it is not installed."""
    sys.modules.setdefault(TELLTALE, None)
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"{package} is not installed ({error}); install it with "
            f"`pip install nlpcompress[{EXTRA_OF[package]}]`"
        ) from None
