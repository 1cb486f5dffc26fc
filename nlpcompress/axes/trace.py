"""Walking over the graph once, operation by operation, rule by rule."""

import operator
from typing import Any

from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils._pytree import tree_leaves

from nlpcompress.axes.atoms import Dim, freeze, leaves, new_dim
from nlpcompress.axes.call import Call, Result, Value, fresh, op_name, sizes
from nlpcompress.axes.export import canonical_names, overlapping
from nlpcompress.axes.notes import Notes, Role
from nlpcompress.axes.rules.table import rule_for

INPUT = "a dimension of the model's input"
OUTPUT = "a dimension of the model's output"
CONSTANT = "a dimension of a constant in the model's code"
UNUSED = "not used with these example inputs"
ALIASED = "shares memory with another tensor"
TABLE = "a table of whole numbers"
IN_PLACE = "changed in place, so that masked entries are no longer zero"
NEW_MEMORY = frozenset({"add", "addmm", "bmm", "div", "linear", "matmul", "mul", "softmax", "sub"})
SUBGRAPHS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}

Values = dict[fx.Node, Result]


class Trace:
    """The dimensions of every parameter and buffer after all rules have spoken, and the notes.

    `tensors` has each tied tensor once, under its first name.
    """

    def __init__(self, model: nn.Module, program: ExportedProgram) -> None:
        self.tensors: dict[str, tuple[Dim, ...]] = {}
        self.notes = Notes()
        self._order = 0
        self._names = canonical_names(model)
        self._shared = overlapping(model)
        outputs = self._walk(program.graph_module, self._inputs(program))
        for value in outputs:
            for dim in value.dims if isinstance(value, Value) else ():
                freeze(dim, OUTPUT)
                self.notes.add(Role.OUTPUT, dim, order=self._order, where="")

    def _inputs(self, program: ExportedProgram) -> Values:
        specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
        values = {node: self._input(node, specs[node.name]) for node in placeholders}
        used = {self._names.get(specs[node.name].target) for node in placeholders if node.users}
        for name in self.tensors.keys() - used:
            for dim in self.tensors[name]:
                freeze(dim, UNUSED)
        return values

    def _input(self, node: fx.Node, spec: Any) -> Result:
        val = node.meta.get("val")
        if spec.kind not in (InputKind.PARAMETER, InputKind.BUFFER):
            return fresh(val, INPUT if spec.kind is InputKind.USER_INPUT else CONSTANT)
        name = self._names[spec.target]
        if name not in self.tensors:
            frozen = ALIASED if name in self._shared else _table(val)
            self.tensors[name] = tuple(new_dim(n, frozen=frozen, zero=True) for n in sizes(val))
        return Value(self.tensors[name])

    def _walk(self, graph: fx.GraphModule, values: Values) -> list[Any]:
        """Fill `values`, which holds the placeholders; return the outputs."""
        outputs: list[Any] = []
        for node in graph.graph.nodes:
            if node.op == "call_function":
                self._order += 1
                values[node] = self._run(graph, node, values)
            elif node.op == "output":
                outputs = [values.get(x) for x in tree_leaves(node.args) if x in values]
        return outputs

    def _run(self, graph: fx.GraphModule, node: fx.Node, values: Values) -> Result:
        if node.target is operator.getitem and isinstance(values[node.args[0]], list):
            return values[node.args[0]][node.args[1]]
        name = op_name(node)
        if name in SUBGRAPHS:
            return self._enter(graph, node, values)
        call = Call(node, values, notes=self.notes, order=self._order)
        # Python's own operators come with sizes that depend on the data.
        of_sizes = getattr(node.target, "__module__", None) == operator.eq.__module__
        rule = None if of_sizes else rule_for(name, getattr(node.target, "_overloadname", ""))
        result = rule(call) if rule else NotImplemented
        if result is NotImplemented:
            return self._unknown(call, str(node.target))
        if name.endswith("_") and not name.endswith("__"):
            _check_in_place(node, call.tensors()[0], result)
        return result

    def _enter(self, graph: fx.GraphModule, node: fx.Node, values: Values) -> Result:
        """A block under another autocast or gradient mode: walk through its own graph."""
        position = SUBGRAPHS[op_name(node)]
        inner = getattr(graph, str(node.args[position].target))
        arguments = node.args[position + 1 :]
        given = [values.get(a) if isinstance(a, fx.Node) else None for a in arguments]
        placeholders = [n for n in inner.graph.nodes if n.op == "placeholder"]
        return self._walk(inner, dict(zip(placeholders, given, strict=True)))

    def _unknown(self, call: Call, name: str) -> Result:
        if call.tensors():
            self.notes.unknown_ops[name] = self.notes.unknown_ops.get(name, 0) + 1
        return call.freeze_all(f"goes through an operation without a rule: {name}")


def _table(val: Any) -> str | None:
    return None if val.dtype.is_floating_point else TABLE


def _check_in_place(node: fx.Node, before: Value, after: Result) -> None:
    """Other names of the changed tensor keep their old marks: refuse where a zero is lost."""
    assert isinstance(after, Value)
    if _sole_name(node.args[0]):
        return
    kept = {factor.atom for dim in after.dims for factor in leaves(dim) if factor.zero}
    lost = [f for dim in before.dims for f in leaves(dim) if f.zero and f.atom not in kept]
    freeze(lost, IN_PLACE)


def _sole_name(node: Any) -> bool:
    """Whether a node's tensor is new memory that nothing but the next operation reads."""
    if node.op != "call_function" or len(node.users) > 1:
        return False
    name = op_name(node)
    return name in NEW_MEMORY or (name[:-1] in NEW_MEMORY and _sole_name(node.args[0]))
