"""What the engine gives back: axes with names, what to cut for each, and where to gate it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import UnknownNameError


class Slice(NamedTuple):
    """Where an axis lies in a parameter or buffer: along `dim`, `before × size × after` elements.

    Key rows of a 4-head attention with heads of 8: `Slice("…key.weight", 0, 1, 8)`; the axis has
    size 4, the tensor 1·4·8 rows, and cutting head 2 takes rows 16 to 23.
    """

    tensor: str
    dim: int
    before: int
    after: int


class Tap(NamedTuple):
    """A module that sums over the axis: its first positional input has it along `dim`.

    Multiplying the inputs of *all* taps by a 0/1 gate equals masking the axis.
    """

    module: str
    dim: int
    before: int
    after: int


@dataclass(frozen=True)
class Axis:
    """Slices of tensors that belong together: position i is cut from all of them, or from none.

    `frozen` says in plain words why the axis cannot be cut exactly; None means that zeroing the
    slices and cutting them compute the same. `taps` is empty when some consumer is not a module
    whose input could be gated.
    """

    name: str
    kind: str
    size: int
    frozen: str | None
    slices: tuple[Slice, ...]
    taps: tuple[Tap, ...]


class Axes(Sequence[Axis]):
    """All axes of one model, in graph order. `axes["layers.0.heads"]`, `axes[0]`, `name in axes`.

    `unknown_ops` counts the operations for which the engine has no rule; the axes they touch are
    frozen and say so.
    """

    def __init__(self, axes: Sequence[Axis], unknown_ops: Mapping[str, int]) -> None:
        self._axes = tuple(axes)
        self._by_name = {axis.name: axis for axis in self._axes}
        assert len(self._by_name) == len(self._axes), "two axes of one name"
        self.unknown_ops = dict(unknown_ops)

    @overload
    def __getitem__(self, key: int | str) -> Axis: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Axis, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Axis | tuple[Axis, ...]:
        """By name or position. Raises `UnknownNameError` with the nearest name."""
        if not isinstance(key, str):
            return self._axes[key]
        if key not in self._by_name:
            raise UnknownNameError(f"unknown axis '{key}'{nearest(key, self._by_name)}")
        return self._by_name[key]

    def __contains__(self, key: object) -> bool:
        return key in self._by_name or key in self._axes

    def __len__(self) -> int:
        return len(self._axes)

    def __iter__(self) -> Iterator[Axis]:
        return iter(self._axes)

    def free(self, kind: str | None = None) -> tuple[Axis, ...]:
        """The axes that can be cut, of one kind or of all."""
        return tuple(a for a in self._axes if a.frozen is None and kind in (None, a.kind))
