"""What a model costs: parameters, bytes, multiply-accumulates, live activations, bytes moved."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from nlpcompress.axes.export import export_graph
from nlpcompress.bench.activations import peak_activations
from nlpcompress.bench.ledger import bytes_on_disk, parameter_count, stored_bytes
from nlpcompress.bench.macs import count_macs
from nlpcompress.bench.traffic import bytes_moved


def measure(
    model: nn.Module, example_inputs: Mapping[str, Tensor], folder: str | Path | None = None
) -> dict[str, int]:
    """The cost row of `model` for one forward pass of `example_inputs` (without labels).

    - `parameters`: elements of the parameters, a shared one once;
    - `size_bytes`: bytes of the files of weights in `folder`, where the model lies; without one,
      bytes of the weights a dense checkpoint holds (parameters and persistent buffers), shared ones
      once;
    - `macs`: multiply-accumulates of matrix products, convolutions and attention;
    - `peak_activations`: the most activation elements alive at once, see `activations.py`;
    - `bytes_moved`: bytes that the operations read and write, quantized weights as the floats they
      stand for, see `traffic.py`.

    The pass is traced on shapes alone: nothing is computed, no weight is moved or changed.

    Raises `AxisError` when the model cannot be traced on these inputs, `FormatError` when `folder`
    has no weights.
    """
    program = export_graph(model, example_inputs)
    return {
        "parameters": parameter_count(model),
        "size_bytes": stored_bytes(model) if folder is None else bytes_on_disk(folder),
        "macs": count_macs(program),
        "peak_activations": peak_activations(program),
        "bytes_moved": bytes_moved(program),
    }
