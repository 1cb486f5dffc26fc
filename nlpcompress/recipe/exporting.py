"""The export of a finished model: float ONNX, int8 ONNX, each compared with torch. Resumable."""

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel

from nlpcompress.core.whole import write_whole
from nlpcompress.data.task_data import TaskData
from nlpcompress.evaluation.evaluate import Predict, evaluate, torch_predictor
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.export import (
    MetricGate,
    OnnxModel,
    OpenVinoModel,
    Parity,
    StaticInt8,
    check_parity,
    export_compressed_tensors,
    export_onnx,
    quantize_dynamic,
    quantize_nncf,
    quantize_static,
    write_parity,
)
from nlpcompress.export.graph_model import GraphModel
from nlpcompress.export.optional import needed
from nlpcompress.export.parity import FLOAT_TOLERANCE
from nlpcompress.io.contents import PROCESSOR
from nlpcompress.io.load import load_model_folder
from nlpcompress.models.activations import rounds_inputs
from nlpcompress.recipe.batches import Batch, first_batch, test_batches, train_batches
from nlpcompress.recipe.job import Job, duration
from nlpcompress.recipe.schema import ExportConfig
from nlpcompress.recipe.workspace import Part

logger = logging.getLogger(__name__)
ONNX, COMPRESSED_TENSORS = "onnx", "compressed-tensors"
FLOAT, INT8, STATIC = "model.onnx", "model_int8.onnx", "model_static_int8.onnx"
NNCF, CODES = "model_nncf_int8.onnx", "model_codes.onnx"
RUNTIMES: dict[str, Callable[[Path], GraphModel]] = {
    "onnxruntime": OnnxModel,
    "openvino": OpenVinoModel,
}
SHAPES_OF_WEIGHTS = ("quantization_config", "auto_map")
"""Keys of config.json that a graph has no use for: it carries its own shapes."""
PARITY_ROWS = 256
"""Test rows whose logits are compared; the task metric is compared on all of them."""


def check_tools(export: ExportConfig) -> None:
    """Raises `ConfigError` when a tool that the export needs is not installed."""
    if "openvino" in export.runtimes:
        needed("openvino")
    if export.quantize == "nncf-int8":
        needed("nncf")


def export_part(job: Job, after: int) -> Part:
    """Where the export of the model after `after` stages lies."""
    export = job.maker.to_json()["export"]
    return job.workspace.part({**job.description(after), "export": export})


def run_export(job: Job, after: int, *, gate: bool) -> Path:
    """The folder with the files of the model after `after` stages, made unless it is there.

    Raises as `export_model` does.
    """
    part = export_part(job, after)
    folder = part.folder / ONNX
    if part.record is None:
        begin = time.perf_counter()
        shutil.rmtree(folder, ignore_errors=True)
        export_model(job, job.model_folder(after), folder, after=after, gate=gate)
        seconds = time.perf_counter() - begin
        part.finish({"seconds": round(seconds, 3)})
        logger.info("exported the model after %d stages in %s", after, duration(seconds))
    return folder


def export_model(job: Job, source: Path, folder: Path, *, after: int, gate: bool) -> None:
    """Write the ONNX files of the model in `source`, parity.json, config and processor.

    It is the model after `after` stages, which says how it reads the data. `gate` says whether this
    is the result, for which `export.max_metric_drop` is judged and whose codes are written. Where
    inputs of layers are rounded, differences are reported, not judged. Raises `ParityError` when an
    exported model does not say what its source says.
    """
    model, data = load_model_folder(source), job.data(after)
    fuse = job.recipe.export.fuse
    path = export_onnx(model, folder / FLOAT, first_batch(data), fuse=fuse)
    tolerance = None if rounds_inputs(model) else FLOAT_TOLERANCE
    rows, parities = _rows(job, data), {}
    for runtime in job.recipe.export.runtimes:
        said = RUNTIMES[runtime](path)
        parities[_in(runtime, path)] = check_parity(model, said, rows, tolerance=tolerance)
    quantize = job.recipe.export.quantize
    if quantize.endswith("int8") or (quantize == "codes" and gate):
        small, tolerance = _small(job, data, model, path, tolerance)
        bounded = gate and job.recipe.export.max_metric_drop is not None
        reference = _metric(job, data, torch_predictor(model)) if bounded else None
        for runtime in job.recipe.export.runtimes:
            said = RUNTIMES[runtime](small)
            gates = () if reference is None else (_gate(job, reference, _metric(job, data, said)),)
            parities[_in(runtime, small)] = check_parity(
                model, said, rows, tolerance=tolerance, gates=gates
            )
    _log(parities)
    write_parity(folder / "parity.json", parities)
    _describe(source, folder)


def _in(runtime: str, path: Path) -> str:
    """A file's name in parity.json; ONNX Runtime is understood."""
    return path.name if runtime == "onnxruntime" else f"{path.name} in {runtime}"


def _small(
    job: Job, data: TaskData, model: PreTrainedModel, path: Path, tolerance: float | None
) -> tuple[Path, float | None]:
    """The smaller file beside `path`, and how far it may be from torch."""
    export = job.recipe.export
    if export.quantize == "dynamic-int8":
        return quantize_dynamic(path, path.with_name(INT8)), None
    examples = train_batches(data, job.recipe, limit=export.calibration_samples)
    if export.quantize == "static-int8":
        config = StaticInt8(per_channel=export.per_channel)
        return quantize_static(path, path.with_name(STATIC), examples, config=config), None
    if export.quantize == "nncf-int8":
        return quantize_nncf(path, path.with_name(NNCF), examples), None
    codes = path.with_name(CODES)
    export_onnx(model, codes, first_batch(data), weights="codes", fuse=export.fuse)
    return codes, tolerance


def export_packed(source: Path) -> Path:
    """Write the quantized model in `source` to its compressed-tensors/, and return that folder.

    Raises `FormatError` as `export_compressed_tensors` does.
    """
    out = source / COMPRESSED_TENSORS
    return export_compressed_tensors(
        load_model_folder(source), out, extra_files=_processor_files(source)
    )


def _rows(job: Job, data: TaskData) -> list[Batch]:
    size = job.recipe.evaluate.batch_size
    return list(test_batches(data, batch_size=size, limit=PARITY_ROWS))


def _metric(job: Job, data: TaskData, predict: Predict) -> float:
    """The first metric, on the whole test set."""
    settings = job.recipe.evaluate
    name = settings.metrics[0]
    values = evaluate(
        predict, data.test, data.collate, metrics=[name], batch_size=settings.batch_size
    )
    return values[name]


def _gate(job: Job, reference: float, candidate: float) -> MetricGate:
    """The model's metric and the smaller file's, and what may be lost."""
    name, bound = job.recipe.evaluate.metrics[0], job.recipe.export.max_metric_drop
    assert bound is not None, "nothing is gated without a bound"
    return MetricGate(
        metric=name,
        reference=reference,
        candidate=candidate,
        max_metric_drop=bound,
        higher_is_better=greater_is_better(name),
    )


def _log(parities: dict[str, Parity]) -> None:
    for name, parity in parities.items():
        logger.info("%s: logits within %.1e of torch, relative", name, parity.relative)


def _processor_files(model: Path) -> list[Path]:
    return [model / name for name in PROCESSOR if (model / name).is_file()]


def _describe(model: Path, folder: Path) -> None:
    """The config and the processor beside the graph: other runtimes open the folder as it is."""
    for file in _processor_files(model):
        shutil.copyfile(file, folder / file.name)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    plain = {key: value for key, value in config.items() if key not in SHAPES_OF_WEIGHTS}
    write_whole(folder / "config.json", json.dumps(plain, indent=2))
