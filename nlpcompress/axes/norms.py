"""Which batch norms read the output of a convolution that nobody else reads."""

from collections.abc import Iterator, Mapping

from torch import Tensor, fx, nn

from nlpcompress.axes.call import op_name
from nlpcompress.axes.export import export_graph


def norms_after(model: nn.Module, example_inputs: Mapping[str, Tensor]) -> dict[str, str]:
    """Path of each such convolution → path of its norm, in the order in which they run.

    Only of modules that run once, with filters in floating point. Raises `AxisError` when the model
    cannot be exported on these inputs.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return {}
    program = export_graph(model, example_inputs)
    names = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    return {
        convolution: norm
        for convolution, norm in _pairs(program.graph, names)
        if type(model.get_submodule(convolution)) is nn.Conv2d
        and type(model.get_submodule(norm)) is nn.BatchNorm2d
    }


def _pairs(graph: fx.Graph, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for node in graph.nodes:
        if node.op != "call_function" or op_name(node) != "batch_norm":
            continue
        source, *tables = node.args[:5]
        if op_name(source) == "conv2d" and len(source.users) == 1:
            weights = [source.args[1], *tables]
            if all(isinstance(weight, fx.Node) and len(weight.users) == 1 for weight in weights):
                filters, scale = (names[weight.name] for weight in weights[:2])
                yield filters.removesuffix(".weight"), scale.removesuffix(".weight")
