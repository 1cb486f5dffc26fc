"""A teacher's features of all examples, in files that are read where a batch needs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nlpcompress.models.stored_features import StoredFeatures

INDEX = "index.json"
STORED = np.float16


class FeatureTable:
    """Features in float16, one file each; those of tokens without padding, one after the other.

    Examples lie in the order in which they were written, which the index has.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / INDEX).read_text())
        self._shapes, self._of_tokens = index["shapes"], set(index["of_tokens"])
        self._places = np.argsort(index["order"])
        self._starts = np.concatenate([[0], np.cumsum(index["lengths"], dtype=np.int64)])
        self._scales = {int(layer): scale for layer, scale in index["scales"].items()}

    def read(self, rows: Sequence[int], mask: Tensor | None) -> dict[str, Tensor]:
        """By name, those of examples: `(B, …)`, of tokens `(B, T, …)` as `mask` `(B, T)` pads."""
        return {name: self._read(name, rows, mask) for name in self._arrays}

    def sample(self) -> StoredFeatures:
        """The first example's."""
        tokens = self._tokens(0) if self._of_tokens else None
        mask = None if tokens is None else torch.ones(1, tokens.stop - tokens.start)
        return StoredFeatures(self.read([0], mask), self._scales)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files: each worker of a data loader opens its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_arrays"}

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            name: np.memmap(file_of(self.folder, number), STORED, "r", shape=tuple(shape))
            for number, (name, shape) in enumerate(self._shapes.items())
        }

    def _read(self, name: str, rows: Sequence[int], mask: Tensor | None) -> Tensor:
        array = self._arrays[name]
        if name not in self._of_tokens:
            return torch.from_numpy(array[self._places[rows]])
        assert mask is not None, "features of tokens need the attention mask"
        tokens = [array[self._tokens(row)] for row in rows]
        found = torch.zeros((*mask.shape, *array.shape[1:]), dtype=torch.float16)
        found[mask.bool()] = torch.from_numpy(np.concatenate(tokens))
        return found

    def _tokens(self, row: int) -> slice:
        """Where those of an example lie."""
        place = self._places[row]
        return slice(int(self._starts[place]), int(self._starts[place + 1]))


def file_of(folder: Path, number: int) -> Path:
    """Of one of the features."""
    return folder / f"{number}.float16"
