"""The export of a finished model: float ONNX, int8 ONNX, each compared with torch. Resumable."""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from nlpcompress.core.whole import write_whole
from nlpcompress.data.task_data import TaskData
from nlpcompress.errors import ParityError
from nlpcompress.evaluation.evaluate import Predict, evaluate, torch_predictor
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.export import (
    MetricGate,
    Parity,
    check_parity,
    export_compressed_tensors,
    export_onnx,
    write_parity,
)
from nlpcompress.export.parity import FLOAT_TOLERANCE, compare, refuse
from nlpcompress.io.contents import PROCESSOR
from nlpcompress.io.load import load_model_folder
from nlpcompress.models.activations import rounds_inputs
from nlpcompress.recipe.batches import Batch, first_batch, test_batches
from nlpcompress.recipe.job import Job, duration
from nlpcompress.recipe.runtimes import OF_GRAPHS, onnx_runtimes
from nlpcompress.recipe.schema import AUTO, CODES, ONNX_RUNTIME
from nlpcompress.recipe.smaller import FILES, smaller_file, ways_of
from nlpcompress.recipe.workspace import Part

logger = logging.getLogger(__name__)
ONNX, COMPRESSED_TENSORS = "onnx", "compressed-tensors"
FLOAT = "model.onnx"
SHAPES_OF_WEIGHTS = ("quantization_config", "auto_map")
"""Keys of config.json that a graph has no use for: it carries its own shapes."""
PARITY_ROWS = 256
"""Test rows whose logits are compared; the task metric is compared on all of them."""


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
    reference = Reference(model, _rows(job, data), tolerance)
    parities = {
        _in(runtime, path): check_parity(
            model, OF_GRAPHS[runtime](path), reference.rows, tolerance=tolerance
        )
        for runtime in onnx_runtimes(job.recipe.export)
    }
    smaller = list(_smaller(job, data, path, reference, gate=gate))
    _judge(smaller, any_will_do=job.recipe.export.quantize == AUTO)
    parities |= {_in(runtime, small): parity for small, runtime, parity in smaller}
    _log(parities)
    write_parity(folder / "parity.json", parities)
    _describe(source, folder)


class Reference(NamedTuple):
    """What files are compared with: the model, on these rows, whose floats may be so far off."""

    model: PreTrainedModel
    rows: list[Batch]
    tolerance: float | None


def _smaller(
    job: Job, data: TaskData, floats: Path, reference: Reference, *, gate: bool
) -> Iterator[tuple[Path, str, Parity]]:
    """The smaller files, each in each runtime, with what was seen of it; none is judged yet.

    Codes are compared as floats are; of a result (`gate`) the metric is seen, too.
    """
    export = job.recipe.export
    ways = [way for way in ways_of(export) if gate or way != CODES]
    bounded = bool(ways) and gate and export.max_metric_drop is not None
    before = _metric(job, data, torch_predictor(reference.model)) if bounded else None
    for way in ways:
        try:
            small = smaller_file(way, job, data, reference.model, floats)
        except ParityError as error:
            if export.quantize != AUTO:
                raise
            logger.warning("%s is left out: %s", FILES[way], error)
            continue
        for runtime in onnx_runtimes(export):
            said = OF_GRAPHS[runtime](small)
            gates = () if before is None else (_gate(job, before, _metric(job, data, said)),)
            bound = reference.tolerance if way == CODES else None
            parity = compare(reference.model, said, reference.rows, tolerance=bound, gates=gates)
            yield small, runtime, parity


def _judge(smaller: Sequence[tuple[Path, str, Parity]], *, any_will_do: bool) -> None:
    """Raises `ParityError` when a file left its bounds; where `any_will_do`, when all have, and
    deletes those that hold in no runtime.
    """
    beyond = {_in(runtime, path): parity.faults for path, runtime, parity in smaller}
    good = {path for path, _, parity in smaller if not parity.faults}
    if not (any_will_do and good):
        refuse([f"{name}: {fault}" for name, faults in beyond.items() for fault in faults])
        return
    for name, faults in beyond.items():
        if faults:
            logger.warning("%s left its bounds: %s", name, "; ".join(faults))
    for path in {path for path, *_ in smaller} - good:
        path.unlink()


def _in(runtime: str, path: Path) -> str:
    """A file's name in parity.json; ONNX Runtime is understood."""
    return path.name if runtime == ONNX_RUNTIME else f"{path.name} in {runtime}"


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
