"""Models as ONNX files: export, int8, the runtime, and the gate that compares them.

And as compressed-tensors folders.
"""

from nlpcompress.export.compressed_tensors import export_compressed_tensors
from nlpcompress.export.onnx import export_onnx
from nlpcompress.export.openvino import OpenVinoModel
from nlpcompress.export.parity import MetricGate, Parity, check_parity, compare
from nlpcompress.export.quantize import DynamicInt8, count_quantized, quantize_dynamic
from nlpcompress.export.quantize_nncf import quantize_nncf
from nlpcompress.export.quantize_static import StaticInt8, count_integer_products, quantize_static
from nlpcompress.export.record import read_parity, write_parity
from nlpcompress.export.runtime import OnnxModel

__all__ = [
    "DynamicInt8",
    "MetricGate",
    "OnnxModel",
    "OpenVinoModel",
    "Parity",
    "StaticInt8",
    "check_parity",
    "compare",
    "count_integer_products",
    "count_quantized",
    "export_compressed_tensors",
    "export_onnx",
    "quantize_dynamic",
    "quantize_nncf",
    "quantize_static",
    "read_parity",
    "write_parity",
]
