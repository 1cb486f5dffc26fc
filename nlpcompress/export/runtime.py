"""An ONNX file as a callable, on the CPU."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from torch import Tensor

from nlpcompress.errors import DataError, FormatError

Array = np.ndarray
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


class OnnxModel:
    """`OnnxModel(path)(batch)` → logits, float32 `(B, …)`.

    A batch maps names to torch tensors or arrays. `labels` and other keys that the graph does not
    take are ignored, except second-sentence marks (`token_type_ids` that are not all zero): without
    them the result would be wrong.

    Raises `FormatError` when the file is missing, torn or not readable by this ONNX Runtime.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self.path = Path(path)
        self.threads = threads
        self._session = _session(self.path, threads)
        self.inputs = {i.name: TYPES.get(i.type) for i in self._session.get_inputs()}
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    def __call__(self, batch: Mapping[str, Tensor | Array]) -> Array:
        """The logits; of a question-answering graph start and end, stacked last `(B, T, 2)`."""
        values = self.run(batch)
        if {"start_logits", "end_logits"} <= values.keys():
            return np.stack([values["start_logits"], values["end_logits"]], axis=-1)
        return values.get("logits", values[self.outputs[0]])

    def run(self, batch: Mapping[str, Tensor | Array]) -> dict[str, Array]:
        """All outputs by name. Raises `DataError` when the batch does not suit the graph."""
        return dict(zip(self.outputs, self._session.run(None, self.feed(batch)), strict=True))

    def feed(self, batch: Mapping[str, Tensor | Array]) -> dict[str, Array]:
        """What the graph takes of a batch. Raises `DataError` when it does not suit the graph."""
        missing = sorted(self.inputs.keys() - batch.keys())
        if missing:
            raise DataError(
                f"{self.path.name} needs the inputs {', '.join(self.inputs)}; the batch lacks "
                f"{', '.join(missing)} (it has {', '.join(sorted(batch))})"
            )
        self._refuse_second_sentences(batch)
        return {name: _array(batch[name], dtype) for name, dtype in self.inputs.items()}

    def _refuse_second_sentences(self, batch: Mapping[str, Tensor | Array]) -> None:
        marks = batch.get("token_type_ids")
        if marks is not None and "token_type_ids" not in self.inputs and bool((marks != 0).any()):
            raise DataError(
                f"the batch marks second sentences (token_type_ids has other values than 0), but "
                f"{self.path.name} was exported without token_type_ids; export it with an example "
                "batch of the processor that has them"
            )


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise FormatError(f"no ONNX file at '{path}'; write one with `nlpcompress export`")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except UNREADABLE as error:
        raise FormatError(
            f"'{path}' ({path.stat().st_size} bytes) is torn or not an ONNX file that ONNX Runtime "
            f"{onnxruntime.__version__} reads; export it again ({_first_line(error)})"
        ) from error


def _array(value: Tensor | Array, dtype: type | None) -> Array:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array if dtype is None else np.ascontiguousarray(array, dtype=dtype)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
