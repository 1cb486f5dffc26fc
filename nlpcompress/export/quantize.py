"""Eight-bit weights, and activations quantised while running, by ONNX Runtime's own tool."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import onnx
import onnx_ir as ir
from onnxruntime import quantization
from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.errors import ParityError
from nlpcompress.export.graph import turn_weights
from nlpcompress.export.load import load_graph
from nlpcompress.export.partial import partial_folder, publish
from nlpcompress.export.quiet import quiet

EIGHT_BITS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
INTEGER_OPERATORS = ("MatMulInteger", "ConvInteger")
FROM_WEIGHTS = ("DequantizeLinear", "Transpose")
"""Between a tied table and the product that reads it turned."""
FLOAT_OPERATORS = ("MatMul", "Gemm", "Conv")

logger = logging.getLogger(__name__)


class DynamicInt8(Config):
    """How weights become 8-bit numbers. The defaults are the best of those measured.

    Processors with AVX2 but without VNNI add pairs of 8-bit products in 16 bits, which saturate
    where full-range signed weights meet large inputs. With 7 bits they cannot, at the same speed
    and size; unsigned weights take a slower kernel. Root-mean-square drift of the logits, relative,
    of a fine-tuned 6-layer encoder (2009 texts) and of a random 2-layer one; time of all products
    of the former, cut to half, at 8 × 64 (AVX2, one thread, onnxruntime 1.32):

    ==========================  =======  ======  =======
    int8, one scale a matrix      0.176   0.024    38 ms
    int8, a scale an output       0.078   0.084    38 ms
    int8, 7 bits, an output       0.075   0.015    38 ms
    uint8, a scale an output      0.069   0.011    49 ms
    ==========================  =======  ======  =======
    """

    signed: bool = Field(True, description="weights as int8; false: as uint8")
    per_channel: bool = Field(True, description="a scale for each output; false: one a matrix")
    reduce_range: bool = Field(True, description="weights of 7 bits, whose sums cannot saturate")
    embeddings: bool = Field(True, description="embedding tables too")
    convolutions: bool = Field(True, description="convolutions too: 4 times smaller, but slower")


class Quantized(NamedTuple):
    """Which products with constant weights (and look-ups in constant tables) are in 8 bits."""

    products: int
    convolutions: int
    float_products: tuple[str, ...]
    tables: int
    float_tables: tuple[str, ...]


def quantize_dynamic(
    source: str | Path, target: str | Path, *, config: DynamicInt8 | None = None
) -> Path:
    """Write the ONNX file `source` with 8-bit weights to `target`, and return that path.

    Products with constant weights run on integers; their inputs are quantised by their own range at
    every call, so no calibration data is needed. Products of two activations stay in float.
    `count_quantized(target)` tells what became integer and what did not.

    Raises `FormatError` when `source` is no readable ONNX file, and `ParityError` when nothing
    could be quantised or the result is not smaller than its source; `target` is then not written.
    """
    source, target = Path(source), Path(target)
    with partial_folder(target) as folder:
        small = folder / target.name
        _run_tool(source, small, config or DynamicInt8())
        found = count_quantized(small)
        _require_gain(source, small, found)
        publish(folder, target)
    _log(target, found)
    return target


def count_quantized(path: str | Path) -> Quantized:
    """What of the file's products with weights, and look-ups in tables, is in 8 bits, by node name.

    Raises `FormatError` when it is no readable ONNX file.
    """
    graph = load_graph(path).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    constants = _constants(graph)
    weighted = [node for node in graph.node if any(name in constants for name in node.input[:2])]
    tables = [n for n in graph.node if n.op_type == "Gather" and n.input[0] in types]
    in_float = [n for n in tables if types[n.input[0]] == onnx.TensorProto.FLOAT]
    return Quantized(
        products=len(_of_types(weighted, INTEGER_OPERATORS)),
        convolutions=len(_of_types(weighted, ("ConvInteger",))),
        float_products=tuple(_of_types(weighted, FLOAT_OPERATORS)),
        tables=sum(types[node.input[0]] in EIGHT_BITS for node in tables),
        float_tables=tuple(node.name for node in in_float),
    )


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Names of all that no input changes: weights, and what is computed from weights alone."""
    known = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in FROM_WEIGHTS and all(name in known for name in node.input if name):
            known.update(node.output)
    return known


def _of_types(nodes: Iterable[onnx.NodeProto], operators: tuple[str, ...]) -> list[str]:
    return [node.name for node in nodes if node.op_type in operators]


def _run_tool(source: Path, target: Path, config: DynamicInt8) -> None:
    wanted = {"MatMul": True, "Gather": config.embeddings, "Conv": config.convolutions}
    kinds = quantization.QuantType
    with quiet(logger):
        quantization.quantize_dynamic(
            _turned(load_graph(source)),
            target,
            op_types_to_quantize=[operator for operator, yes in wanted.items() if yes],
            per_channel=config.per_channel,
            reduce_range=config.reduce_range,
            weight_type=kinds.QInt8 if config.signed else kinds.QUInt8,
        )


def _turned(model: onnx.ModelProto) -> onnx.ModelProto:
    """With the weights of shared layers as products read them."""
    rewritten = ir.from_proto(model)
    turn_weights(rewritten.graph)
    return ir.to_proto(rewritten)


def _log(target: Path, found: Quantized) -> None:
    logger.info(
        "%s: %d products and %d tables in 8 bits", target.name, found.products, found.tables
    )
    if found.float_products:
        names = ", ".join(found.float_products)
        logger.warning("%s: products that stay in float: %s", target.name, names)
    if found.convolutions:
        logger.warning(
            "%s: %d convolutions in 8 bits, which saves space, not time: ONNX Runtime's dynamic "
            "ones are slower than float on a CPU; `convolutions: false` leaves them alone",
            target.name,
            found.convolutions,
        )


def _require_gain(source: Path, target: Path, found: Quantized) -> None:
    if not found.products and not found.tables:
        raise ParityError(
            f"nothing in {source.name} could be quantised: it has no product with constant "
            "weights; keep the float file"
        )
    before, after = source.stat().st_size, target.stat().st_size
    if after >= before:
        raise ParityError(
            f"quantised, {source.name} would take {after} bytes and not fewer than its {before}; "
            "keep the float file"
        )
