"""What runs a result: ONNX Runtime and OpenVINO run its ONNX files, torch the model itself."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from nlpcompress.errors import ConfigError
from nlpcompress.export import OnnxModel, OpenVinoModel
from nlpcompress.export.graph_model import GraphModel
from nlpcompress.export.optional import installed, needed
from nlpcompress.recipe.schema import (
    AUTO,
    COMPILED,
    NNCF,
    ONNX_RUNTIME,
    OPENVINO,
    TORCH,
    ExportConfig,
)

OF_GRAPHS: dict[str, Callable[[Path], GraphModel]] = {
    ONNX_RUNTIME: OnnxModel,
    OPENVINO: OpenVinoModel,
}


def onnx_runtimes(export: ExportConfig) -> tuple[str, ...]:
    """Those of the export that run ONNX files; `auto` is all that are installed."""
    if AUTO in export.runtimes:
        return (ONNX_RUNTIME, *((OPENVINO,) if installed(OPENVINO) else ()))
    return tuple(runtime for runtime in export.runtimes if runtime in OF_GRAPHS)


def torch_runtimes(export: ExportConfig) -> tuple[str, ...]:
    """Those of the export that run the model as it is saved."""
    return tuple(runtime for runtime in export.runtimes if runtime in (TORCH, COMPILED))


def check_tools(export: ExportConfig) -> None:
    """Raises `ConfigError` when a tool that the export needs is not installed."""
    if OPENVINO in export.runtimes:
        needed(OPENVINO)
    if export.quantize == NNCF:
        needed("nncf")
    if COMPILED in export.runtimes:
        _need_compiler()


def _need_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if not any(shutil.which(name) for name in (compiler, "clang++")):
        raise ConfigError(
            f"export.runtimes: {COMPILED} needs a C++ compiler, and there is no {compiler}; "
            "install one (such as Debian's package g++), or set CXX to its name"
        )
