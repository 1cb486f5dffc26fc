"""What a model costs: parameters, bytes, multiply-accumulates, peak of live activations."""

from collections.abc import Mapping

from torch import Tensor, nn

from nlpcompress.axes.export import export_graph
from nlpcompress.bench.activations import peak_activations
from nlpcompress.bench.ledger import parameter_count, stored_bytes
from nlpcompress.bench.macs import count_macs


def measure(model: nn.Module, example_inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """The cost row of `model` for one forward pass of `example_inputs` (without labels).

    - `parameters`: elements of the parameters, a shared one once;
    - `size_bytes`: bytes of the weights a checkpoint holds (parameters and persistent buffers),
      shared ones once;
    - `macs`: multiply-accumulates of matrix products, convolutions and attention;
    - `peak_activations`: the most activation elements alive at once, see `activations.py`.

    The pass is traced on shapes alone: nothing is computed, no weight is moved or changed.

    Raises `AxisError` when the model cannot be traced on these inputs.
    """
    program = export_graph(model, example_inputs)
    return {
        "parameters": parameter_count(model),
        "size_bytes": stored_bytes(model),
        "macs": count_macs(program),
        "peak_activations": peak_activations(program),
    }
