"""The files in few bits beside a float ONNX file, in the ways that a recipe asks for."""

from pathlib import Path

from transformers import PreTrainedModel

from nlpcompress.data.task_data import TaskData
from nlpcompress.export import (
    StaticInt8,
    export_onnx,
    quantize_dynamic,
    quantize_nncf,
    quantize_static,
)
from nlpcompress.export.optional import installed
from nlpcompress.recipe.batches import first_batch, train_batches
from nlpcompress.recipe.job import Job
from nlpcompress.recipe.schema import AUTO, CODES, DYNAMIC, NNCF, STATIC, ExportConfig

FILES = {
    DYNAMIC: "model_int8.onnx",
    STATIC: "model_static_int8.onnx",
    NNCF: "model_nncf_int8.onnx",
    CODES: "model_codes.onnx",
}
"""Way of making it → the file's name."""


def ways_of(export: ExportConfig) -> tuple[str, ...]:
    """The ways of an export; `auto` is all to 8 bits whose tools are installed."""
    if export.quantize == AUTO:
        return (DYNAMIC, STATIC, *((NNCF,) if installed("nncf") else ()))
    return () if export.quantize == "none" else (export.quantize,)


def smaller_file(way: str, job: Job, data: TaskData, model: PreTrainedModel, floats: Path) -> Path:
    """The file made of `floats`, beside it; codes are written from the model itself.

    Raises `ParityError` when nothing in it can be quantized.
    """
    export, path = job.recipe.export, floats.with_name(FILES[way])
    if way == CODES:
        return export_onnx(model, path, first_batch(data), weights="codes", fuse=export.fuse)
    if way == DYNAMIC:
        return quantize_dynamic(floats, path)
    examples = train_batches(data, job.recipe, limit=export.calibration_samples)
    if way == NNCF:
        return quantize_nncf(floats, path, examples)
    config = StaticInt8(per_channel=export.per_channel)
    return quantize_static(floats, path, examples, config=config)
