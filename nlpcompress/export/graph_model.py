"""What ONNX files are as callables, whichever runtime runs them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from nlpcompress.errors import DataError, FormatError

Array = np.ndarray


class GraphModel(ABC):
    """`model(batch)` → logits, float32 `(B, …)`, on the CPU.

    A batch maps names to torch tensors or arrays. `labels` and other keys that the graph does not
    take are ignored, except second-sentence marks (`token_type_ids` that are not all zero) and
    masked places (zeros in `attention_mask`): without them the result would be wrong. `inputs` has
    the type of each input, None where any will do.
    """

    path: Path
    threads: int
    inputs: Mapping[str, type | None]
    outputs: tuple[str, ...]

    @abstractmethod
    def run(self, batch: Mapping[str, Tensor | Array]) -> dict[str, Array]:
        """All outputs by name. Raises `DataError` when the batch does not suit the graph."""

    def __call__(self, batch: Mapping[str, Tensor | Array]) -> Array:
        """The logits; of a question-answering graph start and end, stacked last `(B, T, 2)`."""
        values = self.run(batch)
        if {"start_logits", "end_logits"} <= values.keys():
            return np.stack([values["start_logits"], values["end_logits"]], axis=-1)
        return values.get("logits", values[self.outputs[0]])

    def feed(self, batch: Mapping[str, Tensor | Array]) -> dict[str, Array]:
        """What the graph takes of a batch. Raises `DataError` when it does not suit the graph."""
        missing = sorted(self.inputs.keys() - batch.keys())
        if missing:
            raise DataError(
                f"{self.path.name} needs the inputs {', '.join(self.inputs)}; the batch lacks "
                f"{', '.join(missing)} (it has {', '.join(sorted(batch))})"
            )
        self._refuse_second_sentences(batch)
        self._refuse_masked_places(batch)
        return {name: _array(batch[name], dtype) for name, dtype in self.inputs.items()}

    def _refuse_second_sentences(self, batch: Mapping[str, Tensor | Array]) -> None:
        marks = batch.get("token_type_ids")
        if marks is not None and "token_type_ids" not in self.inputs and bool((marks != 0).any()):
            raise DataError(
                f"the batch marks second sentences (token_type_ids has other values than 0), but "
                f"{self.path.name} was exported without token_type_ids; export it with an example "
                "batch of the processor that has them"
            )

    def _refuse_masked_places(self, batch: Mapping[str, Tensor | Array]) -> None:
        mask = batch.get("attention_mask")
        if mask is not None and "attention_mask" not in self.inputs and bool((mask == 0).any()):
            raise DataError(
                f"the batch masks some places (attention_mask has zeros), but {self.path.name} was "
                "exported without attention_mask; export it with an example batch that has one"
            )


def existing(path: Path) -> Path:
    """The path of a file. Raises `FormatError` when there is none."""
    if not path.is_file():
        raise FormatError(f"no ONNX file at '{path}'; write one with `nlpcompress export`")
    return path


def torn(path: Path, runtime: str, error: Exception) -> FormatError:
    """The error for a file that a runtime, with its version, does not read."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return FormatError(
        f"'{path}' ({path.stat().st_size} bytes) is torn or not an ONNX file that {runtime} "
        f"reads; export it again ({first})"
    )


def misshapen(path: Path, got: str) -> DataError:
    """The error for inputs of a shape that a file does not take; `got` is what its runtime says."""
    return DataError(
        f"{path.name} takes inputs of another shape ({got}); export it with an example batch of "
        "yours"
    )


def _array(value: Tensor | Array, dtype: type | None) -> Array:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array if dtype is None else np.ascontiguousarray(array, dtype=dtype)
