"""What rules observe about dimensions on the way: roles, producers and consumers."""

from dataclasses import dataclass, field
from enum import Enum

from nlpcompress.axes.atoms import Dim


class Role(Enum):
    """What an operation says about a dimension it makes or reads."""

    LINEAR_OUT = "made by a linear layer"
    CONV_OUT = "made by a convolution"
    EMBEDDING_OUT = "made by an embedding"
    ROWS = "looked up in an embedding"
    NORMALISED = "normalised or averaged over"
    ATTENTION = "batch dimensions of an attention product"
    HEAD_DIM = "summed over or carried by an attention product"
    GROUPS = "groups of a convolution"
    KERNEL = "kernel size of a convolution"
    PARTS = "equal parts of a fused projection"
    OUTPUT = "leaves the model"


MAKERS = (Role.LINEAR_OUT, Role.CONV_OUT, Role.EMBEDDING_OUT)


@dataclass(frozen=True)
class Note:
    """One observation: at operation number `order`, in the module `where`."""

    role: Role
    dim: Dim
    order: int
    where: str


@dataclass(frozen=True)
class Consumer:
    """A sum over `summed`; `module` is the one whose first input, of `dims`, is summed, if any."""

    summed: Dim
    module: str | None
    dims: tuple[Dim, ...] = ()


@dataclass
class Notes:
    """Everything one walk over the graph observed."""

    seen: list[Note] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    unknown_ops: dict[str, int] = field(default_factory=dict)

    def add(self, role: Role, dim: Dim, *, order: int, where: str) -> None:
        self.seen.append(Note(role, dim, order, where))
