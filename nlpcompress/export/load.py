"""Reading ONNX files as graphs."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from nlpcompress.errors import FormatError


def load_graph(path: str | Path) -> onnx.ModelProto:
    """The file's model, weights included. Raises `FormatError` when it is missing or torn."""
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"no ONNX file at '{path}'; write one with `nlpcompress export`")
    try:
        return onnx.load(path)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        raise FormatError(
            f"'{path}' ({path.stat().st_size} bytes) is torn or no ONNX file; export it again"
        ) from error
