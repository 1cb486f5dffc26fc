"""The header of a safetensors file: what lies where, without reading any of it.

A file is 8 bytes with the header's length, the header as JSON, and the tensors' bytes.
"""

import json
import struct
from pathlib import Path
from typing import NamedTuple

METADATA = "__metadata__"
PREFIX = 8


class WeightFile(NamedTuple):
    """Where the data begins, and name → first byte of a tensor in it, and the one behind."""

    start: int
    places: dict[str, tuple[int, int]]

    @property
    def sizes(self) -> dict[str, int]:
        """Name → bytes."""
        return {name: end - begin for name, (begin, end) in self.places.items()}

    @property
    def length(self) -> int:
        """Bytes of a whole file."""
        return self.start + max((end for _, end in self.places.values()), default=0)


def read_weight_file(file: Path) -> WeightFile:
    """Of a file that is there. Raises `ValueError` when its header cannot be read."""
    with file.open("rb") as stream:
        first = stream.read(PREFIX)
        if len(first) < PREFIX:
            raise ValueError(f"{file} ends before its header")
        (length,) = struct.unpack("<Q", first)
        try:
            header = json.loads(stream.read(min(length, file.stat().st_size)))
            told = {
                name: tuple(t["data_offsets"]) for name, t in header.items() if name != METADATA
            }
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{file} has another header than safetensors': {error}") from error
    return WeightFile(PREFIX + length, told)
