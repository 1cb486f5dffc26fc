"""One operation of the graph, as a rule sees it: arguments by their schema name, shapes, notes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from nlpcompress.axes.atoms import Dim, freeze, new_dim
from nlpcompress.axes.notes import Notes, Role


@dataclass(frozen=True)
class Value:
    """A tensor: the factors of each of its dimensions."""

    dims: tuple[Dim, ...]


Result = Value | Sequence["Value | None"] | None
Rule = Callable[["Call"], Any]  # a Result, or NotImplemented: "no rule for this variant"


def sizes(tensor: Any) -> tuple[int, ...]:
    """Shape of a traced tensor; a size that only the data knows is 0, which aligns with nothing."""
    return tuple(n if isinstance(n, int) else 0 for n in getattr(tensor, "shape", ()))


class Call:
    """An operation with its arguments resolved to values."""

    def __init__(
        self, node: fx.Node, values: Mapping[fx.Node, Result], *, notes: Notes, order: int
    ) -> None:
        self.node = node
        self.order = order
        self.notes = notes
        self._values = values
        self._arguments = _arguments(node)

    @property
    def op(self) -> str:
        """`view` for `aten.view.default`."""
        return op_name(self.node)

    @property
    def module(self) -> str:
        """Path of the innermost module that runs this operation."""
        return module_of(self.node)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the (only) result."""
        return sizes(self.node.meta.get("val"))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of several results."""
        return [sizes(val) for val in self.node.meta["val"]]

    def __getitem__(self, name: str) -> Any:
        """The raw argument (a node, a number, a list …) or its default."""
        return self._arguments[name]

    def has(self, name: str) -> bool:
        """Whether the argument exists in this overload and is not None."""
        return self._arguments.get(name) is not None

    def value(self, name: str) -> Value:
        return self.value_of(self._arguments[name])

    def dims(self, name: str) -> tuple[Dim, ...]:
        return self.value(name).dims

    def value_of(self, node: Any) -> Value:
        value = self._values[node]
        assert isinstance(value, Value), f"{node} is not one tensor"
        return value

    def shape_of(self, node: Any) -> tuple[int, ...]:
        return sizes(node.meta.get("val"))

    def index(self, name: str, ndim: int) -> int:
        """A `dim` argument, counted from the front."""
        return int(self._arguments[name]) % max(ndim, 1)

    def note(self, role: Role, dim: Dim) -> None:
        self.notes.add(role, dim, order=self.order, where=self.module)

    def tensors(self) -> list[Value]:
        """All tensor arguments, those inside lists and tuples too."""
        found: list[Value] = []
        for node in self.node.all_input_nodes:
            value = self._values.get(node)
            several = value if isinstance(value, list) else [value]
            found += [v for v in several if isinstance(v, Value)]
        return found

    def freeze_all(self, reason: str) -> Result:
        """Freeze everything that goes in; what comes out is new and frozen."""
        for value in self.tensors():
            for dim in value.dims:
                freeze(dim, reason)
        return fresh(self.node.meta.get("val"), reason)


def fresh(val: Any, frozen: str | None) -> Result:
    """New dimensions for a traced result (a tensor, several, or none)."""
    if isinstance(val, (list, tuple)):
        return [v if isinstance(v, Value) else None for v in (fresh(x, frozen) for x in val)]
    if not hasattr(val, "shape"):
        return None
    return Value(tuple(new_dim(n, frozen=frozen) for n in sizes(val)))


def module_of(node: fx.Node) -> str:
    """Path of the innermost module that runs a node, '' for the model itself."""
    stack = node.meta.get("nn_module_stack")
    return list(stack.values())[-1][0].split("@")[0] if stack else ""


def op_name(node: fx.Node) -> str:
    """`view` for `aten.view.default`, the function's own name for a Python one."""
    return getattr(node.target, "__name__", str(node.target)).split(".")[0]


def is_tensor(argument: Any) -> bool:
    return isinstance(argument, fx.Node) and hasattr(argument.meta.get("val"), "shape")


def _arguments(node: fx.Node) -> dict[str, Any]:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {str(i): a for i, a in enumerate(node.args)} | dict(node.kwargs)
    named: dict[str, Any] = {}
    positional: Sequence[Any] = node.args
    for i, argument in enumerate(schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        named[argument.name] = positional[i] if i < len(positional) else default
    return named | dict(node.kwargs)
