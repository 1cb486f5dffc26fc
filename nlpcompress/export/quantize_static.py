"""Eight-bit weights and activations with ranges seen beforehand, by ONNX Runtime's own tool."""

import logging
from collections.abc import Iterable
from pathlib import Path

from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.errors import DataError, ParityError
from nlpcompress.export.load import load_graph
from nlpcompress.export.partial import partial_folder, publish
from nlpcompress.export.quiet import quiet
from nlpcompress.export.reference import Array, Batch
from nlpcompress.export.runtime import OnnxModel, told_of_shapes

PRODUCTS = ("Conv", "Gather", "Gemm", "MatMul")
NORM = "LayerNormalization"

logger = logging.getLogger(__name__)


class StaticInt8(Config):
    """How a network is put on 8-bit numbers. The defaults are the best of those measured.

    Activations are unsigned with a zero point, a range each; weights signed and symmetric. With
    signed activations ONNX Runtime takes slower kernels. At 224 × 224, batch 1, one thread with
    AVX-512 VNNI, onnxruntime 1.32, times as fast as float: ResNet-18 3.4 (signed 1.3), MobileNetV2
    2.0 (signed 1.2).

    In transformers only products (those of attention, too, unless it is fused) and tables are in 8
    bits: with all else, a fine-tuned 6-layer encoder fell from .885 to .767 on 1,000 texts, with
    products alone to .873 at 2.3 times float's speed; `quantize_dynamic` had .881 at 2.5. This here
    is for pictures.
    """

    per_channel: bool = Field(True, description="a scale for each output; false: one a weight")
    moving_average: bool = Field(
        False, description="ranges that follow the batches; false: from the least to the greatest"
    )


def quantize_static(
    source: str | Path,
    target: str | Path,
    batches: Iterable[Batch],
    *,
    config: StaticInt8 | None = None,
) -> Path:
    """Write the ONNX file `source` with 8-bit weights and activations to `target`; give that path.

    `batches` are inputs like those to come: the ranges of all activations are what they reach on
    them. Each is a mapping of the model's inputs, tensors or arrays; what else it holds (labels) is
    passed over. Batch norms are in the convolutions already, as `export_onnx` folds them.

    Raises `DataError` without batches or with such of another shape, `FormatError` when `source` is
    no readable ONNX file, `ParityError` when nothing could be quantized; `target` is then not
    written.
    """
    source, target = Path(source), Path(target)
    reader = _Reader(map(OnnxModel(source).feed, batches))
    with partial_folder(target) as folder:
        small = folder / target.name
        with told_of_shapes(source):
            _run_tool(source, small, reader, config or StaticInt8())
        products = count_integer_products(small)
        if not products:
            raise ParityError(
                f"nothing in {source.name} could be quantised: it has no product with constant "
                "weights; keep the float file"
            )
        publish(folder, target)
    logger.info("%s: %d products in 8 bits, on %d batches", target.name, products, reader.count)
    return target


def count_integer_products(path: str | Path) -> int:
    """Convolutions and products whose input and weight are both decoded from 8 bits in the file.

    ONNX Runtime runs them on integers.
    """
    graph = load_graph(path).graph
    decoded = {name for n in graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    return sum(
        node.op_type in ("Conv", "Gemm", "MatMul") and set(node.input[:2]) <= decoded
        for node in graph.node
    )


class _Reader(quantization.CalibrationDataReader):
    """Hands out feeds and counts them."""

    def __init__(self, feeds: Iterable[dict[str, Array]]) -> None:
        self._feeds, self.count = iter(feeds), 0

    def get_next(self) -> dict[str, Array] | None:
        """The next one; None after the last. Raises `DataError` where there is not even one."""
        feed = next(self._feeds, None)
        if feed is None and not self.count:
            raise DataError("no batches to see ranges of activations on; give at least one")
        self.count += feed is not None
        return feed


def _run_tool(source: Path, target: Path, reader: _Reader, config: StaticInt8) -> None:
    prepared = target.with_name("prepared.onnx")
    kinds = quantization.QuantType
    with quiet(logger):
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            target,
            reader,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_operators(prepared),
            per_channel=config.per_channel,
            activation_type=kinds.QUInt8,
            weight_type=kinds.QInt8,
            extra_options={"CalibMovingAverage": config.moving_average},
        )
    prepared.unlink()


def _operators(path: Path) -> list[str] | None:
    """What is put on 8 bits: None for all that the tool can."""
    found = {node.op_type for node in load_graph(path).graph.node}
    return list(PRODUCTS) if NORM in found else None
