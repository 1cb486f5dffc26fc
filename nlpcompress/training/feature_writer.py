"""Writes a teacher's features of all examples as it answers them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.whole import flush_tree
from nlpcompress.errors import ConfigError
from nlpcompress.models.feature_table import INDEX, file_of
from nlpcompress.models.features import Features
from nlpcompress.models.stored_features import FeatureName, key


class FeatureWriter:
    """Writes what is wanted of a teacher, batch by batch as it runs.

    `order` is of the examples' numbers, as the teacher sees them. Nothing is in `folder` before
    `close`, which makes it whole. Raises `ConfigError` for features that float16 cannot hold, and
    for tokens of which no mask says whether they are padding.
    """

    def __init__(
        self,
        teacher: nn.Module,
        wanted: Collection[FeatureName],
        folder: Path,
        order: Sequence[int],
    ) -> None:
        self._wanted = sorted(wanted, key=str)
        self._features = Features(
            teacher,
            states=[place for kind, place in self._wanted if kind == "hidden"],
            attentions=sorted({int(place) for kind, place in self._wanted if kind != "hidden"}),
        )
        self._folder, self._order = folder, order
        self._partial = folder.with_name(f".{folder.name}.{os.getpid()}tmp")
        self._shapes: dict[str, list[int]] = {}
        self._of_tokens: set[str] = set()
        self._lengths: list[int] = []
        self._scales: dict[int, float] = {}

    def __enter__(self) -> FeatureWriter:
        self._partial.mkdir(parents=True)
        return self

    def __exit__(self, failed: Any, *_: Any) -> None:
        self._features.close()
        try:
            if failed is None:
                self._finish()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def add(self, mask: Tensor | None) -> None:
        """The features of the teacher's last pass."""
        if mask is not None:
            self._lengths += mask.sum(1).tolist()
        for number, name in enumerate(self._wanted):
            values = self._values(name)
            if mask is not None and values.dim() > 2 and values.shape[:2] == mask.shape:
                values = values[mask.bool()]
                self._of_tokens.add(key(name))
            self._append(number, key(name), values)

    def _values(self, name: FeatureName) -> Tensor:
        kind, place = name
        if kind == "hidden":
            return self._features.state(place)
        attention = self._features.attention(int(place))
        self._scales[int(place)] = attention.scale
        return getattr(attention, kind).transpose(1, 2)

    def _append(self, number: int, name: str, values: Tensor) -> None:
        count, *rest = values.shape
        before, *shape = self._shapes.setdefault(name, [0, *rest])
        if shape != rest:
            raise ConfigError(
                f"the teacher's '{name}' are {tuple(shape)} in one batch and {tuple(rest)} in "
                "another, and no attention_mask says which of them are padding; train with the "
                "teacher itself (leave teacher_cache out)"
            )
        half = values.to(torch.float16)
        if not half.isfinite().all():
            raise ConfigError(
                f"the teacher's '{name}' reach {float(values.abs().max()):.3g}, more than float16 "
                "holds; train with the teacher itself (leave teacher_cache out)"
            )
        with file_of(self._partial, number).open("ab") as file:
            half.cpu().numpy().tofile(file)
        self._shapes[name][0] = before + count

    def _finish(self) -> None:
        index = {
            "shapes": self._shapes,
            "of_tokens": sorted(self._of_tokens),
            "order": list(self._order),
            "lengths": self._lengths,
            "scales": self._scales,
        }
        (self._partial / INDEX).write_text(json.dumps(index))
        flush_tree(self._partial)
        try:
            self._partial.replace(self._folder)
        except OSError:  # another job was first; what it wrote is the same
            if not (self._folder / INDEX).exists():
                raise
