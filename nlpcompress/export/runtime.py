"""An ONNX file in ONNX Runtime, on the CPU."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from torch import Tensor

from nlpcompress.export.graph_model import Array, GraphModel, existing, misshapen, torn

UNREADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


class OnnxModel(GraphModel):
    """`OnnxModel(path)(batch)` → logits, by ONNX Runtime.

    Raises `FormatError` when the file is missing, torn or not readable by this ONNX Runtime.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self.path, self.threads = Path(path), threads
        self._session = _session(existing(self.path), threads)
        self.inputs = {i.name: TYPES.get(i.type) for i in self._session.get_inputs()}
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    def run(self, batch: Mapping[str, Tensor | Array]) -> dict[str, Array]:
        """All outputs by name. Raises `DataError` when the batch does not suit the graph."""
        with told_of_shapes(self.path):
            values = self._session.run(None, self.feed(batch))
        return dict(zip(self.outputs, values, strict=True))


@contextmanager
def told_of_shapes(path: Path) -> Iterator[None]:
    """Raises `DataError` where a session gets an input of a shape that its file does not take."""
    try:
        yield
    except ort_errors.InvalidArgument as error:
        lines = (line.strip() for line in str(error).splitlines())
        got = "; ".join(line for line in lines if "Expected:" in line)
        if not got:
            raise
        raise misshapen(path, got) from error


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except UNREADABLE as error:
        raise torn(path, f"ONNX Runtime {onnxruntime.__version__}", error) from error
