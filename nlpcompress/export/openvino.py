"""An ONNX file in OpenVINO, on the CPU. Needs the extra `nlpcompress[openvino]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nlpcompress.export.graph_model import Array, GraphModel, existing, misshapen, torn
from nlpcompress.export.optional import needed

TYPES = {"i64": np.int64, "i32": np.int32, "f32": np.float32}


class OpenVinoModel(GraphModel):
    """`OpenVinoModel(path)(batch)` → logits, by OpenVINO, for one request at a time.

    Floats stay float32: left to itself OpenVINO computes in bfloat16 on processors that have it.
    Raises `ConfigError` when OpenVINO is not installed, `FormatError` when the file is missing,
    torn or not readable by it.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self.path, self.threads = Path(path), threads
        self._compiled = _compiled(existing(self.path), threads)
        self.inputs = {
            port.any_name: TYPES.get(port.element_type.get_type_name())
            for port in self._compiled.inputs
        }
        self.outputs = tuple(port.any_name for port in self._compiled.outputs)

    def run(self, batch: Mapping[str, Tensor | Array]) -> dict[str, Array]:
        """All outputs by name. Raises `DataError` when the batch does not suit the graph."""
        feed = self.feed(batch)
        try:
            values = self._compiled(feed)
        except RuntimeError as error:
            got = str(error).strip().splitlines()[-1]
            if "incompatible" not in got:
                raise
            raise misshapen(self.path, got) from error
        return {port.any_name: values[port] for port in self._compiled.outputs}


def _compiled(path: Path, threads: int) -> Any:
    openvino = needed("openvino")
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        return openvino.Core().compile_model(str(path), "CPU", options)
    except RuntimeError as error:
        raise torn(path, f"OpenVINO {openvino.__version__}", error) from error
