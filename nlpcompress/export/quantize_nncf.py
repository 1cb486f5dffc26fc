"""Eight-bit weights and activations as OpenVINO likes them best, by its own tool, NNCF.

Needs the extra `nlpcompress[openvino]`. The file is ONNX with codes and scales in it (QDQ), which
ONNX Runtime runs, too, not as fast.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import onnx

from nlpcompress.errors import DataError, ParityError
from nlpcompress.export.load import load_graph
from nlpcompress.export.optional import needed
from nlpcompress.export.partial import partial_folder, publish
from nlpcompress.export.quantize_static import NORM, count_integer_products
from nlpcompress.export.quiet import quiet
from nlpcompress.export.reference import Batch
from nlpcompress.export.runtime import OnnxModel

logger = logging.getLogger(__name__)


def quantize_nncf(source: str | Path, target: str | Path, batches: Iterable[Batch]) -> Path:
    """Write the ONNX file `source` with 8-bit weights and activations to `target`; give that path.

    `batches` are inputs like those to come, on which ranges are seen, and biases set right again.
    Graphs with layer norms are treated as transformers, whose attention NNCF leaves finer.

    Raises `ConfigError` when NNCF is not installed, `DataError` without batches, `FormatError` when
    `source` is no readable ONNX file, `ParityError` when nothing could be quantized; `target` is
    then not written.
    """
    nncf, source, target = needed("nncf"), Path(source), Path(target)
    feeds = list(map(OnnxModel(source).feed, batches))
    if not feeds:
        raise DataError("no batches to see ranges of activations on; give at least one")
    graph = load_graph(source)
    transformer = any(node.op_type == NORM for node in graph.graph.node)
    with quiet(logger):
        made = nncf.quantize(
            graph,
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            subset_size=len(feeds),
        )
    with partial_folder(target) as folder:
        small = folder / target.name
        onnx.save(made, small)
        products = count_integer_products(small)
        if not products:
            raise ParityError(f"nothing in {source.name} could be quantised; keep the float file")
        publish(folder, target)
    logger.info("%s: %d products in 8 bits, on %d batches", target.name, products, len(feeds))
    return target
