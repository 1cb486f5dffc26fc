"""After the stages: the model in its place, the exports, the measurements, report and card."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcompress.bench import (
    Bound,
    Report,
    Row,
    effective_bits,
    energy_estimate,
    measure,
    read_report,
    write_report,
)
from nlpcompress.bench.bits import quantized_numbers
from nlpcompress.bench.density import density
from nlpcompress.bench.environment import environment
from nlpcompress.bench.latency import shape_name
from nlpcompress.bench.layer_bytes import by_parts, layer_bytes
from nlpcompress.bench.ledger import size_ledger
from nlpcompress.bench.rows import ALL, Bits
from nlpcompress.core.whole import write_whole
from nlpcompress.errors import FormatError
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.export.bits import code_bytes
from nlpcompress.io.card import folder_card
from nlpcompress.io.load import load_model_folder
from nlpcompress.recipe.artefacts import Artefact
from nlpcompress.recipe.batches import bench_batches
from nlpcompress.recipe.exporting import FLOAT, ONNX, export_part, run_export
from nlpcompress.recipe.fingerprint import recipe_digest
from nlpcompress.recipe.job import Job
from nlpcompress.recipe.measuring import THREADS, latencies, quality
from nlpcompress.recipe.publish import ENTRY, publish_files, publish_model
from nlpcompress.recipe.result import has_teacher, result_rows
from nlpcompress.recipe.schema import CODES, TIMED
from nlpcompress.recipe.smaller import FILES
from nlpcompress.recipe.text import to_yaml
from nlpcompress.recipe.workspace import RESOLVED, Part


def finished(job: Job) -> bool:
    """Whether this very recipe is what the result folder holds, report and all."""
    record, out = _part(job).record, job.workspace.out
    if record is None or not (out / ENTRY).is_file():
        return False
    try:
        return read_report(out).recipe_hash == record["recipe_hash"]
    except FormatError:
        return False


def _part(job: Job) -> Part:
    recipe = job.recipe.to_json()
    settings = {key: recipe[key] for key in ("name", "evaluate", "export", "bench")}
    return job.workspace.part({**job.description(job.last), "result": settings})


def finish(job: Job) -> None:
    """All that comes after the stages. Main process only; what is there already is not made again.

    Raises `ParityError` when an exported model leaves its bounds; the model then lies in place.
    """
    out = job.workspace.out
    publish_model(job.model_folder(job.last), out)
    if job.recipe.export.onnx:
        _export(job)
    write_whole(out / RESOLVED, to_yaml(job.recipe.to_json()))
    report = _report(job)
    write_report(report, out, recipe=job.recipe.to_json())
    write_whole(out / "README.md", folder_card(out))
    _part(job).finish({"recipe_hash": recipe_digest(job.recipe)})


def _export(job: Job) -> None:
    if job.teacher_after is not None and job.recipe.evaluate.before:
        run_export(job, job.teacher_after, gate=False)
    folder = run_export(job, job.last, gate=True)
    (job.workspace.out / ONNX).mkdir(exist_ok=True)
    publish_files(folder, job.workspace.out / ONNX)


def _report(job: Job) -> Report:
    rows, seconds = result_rows(job), Stopwatch()
    metrics = {row.name: quality(job, row) for row in rows if _is_judged(job, row)}
    seconds.note("evaluate")
    times = latencies(job, rows)
    seconds.note("bench")
    costs = {folder: _costs(job, folder) for folder in {row.folder for row in rows}}
    return Report(
        rows=tuple(
            Row(
                name=row.name,
                runtime=row.runtime,
                metrics=metrics.get(row.name, {}),
                latency_ms=times[row.name],
                onnx_file=row.onnx and row.onnx.name,
                onnx_size_bytes=_size(row.onnx),
                **costs[row.folder]
                | _traffic(row, costs[row.folder])
                | _bits_in_file(row, costs[row.folder]),
            )
            for row in rows
        ),
        environment=environment(threads=THREADS),
        recipe_hash=recipe_digest(job.recipe),
        bound=_bound(job),
        samples=len(job.data(job.last).test),
        stages=(*_stages(job), *_exports(job), *seconds.notes),
    )


def _is_judged(job: Job, row: Artefact) -> bool:
    """Whether its quality is measured: that of the model before may be left out."""
    return row.after == job.last or job.recipe.evaluate.before != TIMED


def _bound(job: Job) -> Bound | None:
    """None where a drop would be from nothing: the first row is not the model before."""
    if not has_teacher(job):
        return None
    metric = job.recipe.evaluate.metrics[0]
    return Bound(
        metric=metric,
        max_drop=job.recipe.export.max_metric_drop,
        greater_is_better=greater_is_better(metric),
    )


class Stopwatch:
    """Seconds of parts that follow one another, as lines of the report's stages."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self._begin = time.perf_counter()

    def note(self, part: str) -> None:
        """The part ends here; the next one begins."""
        now = time.perf_counter()
        self.notes.append(_line(part, now - self._begin))
        self._begin = now


def _costs(job: Job, folder: Path) -> dict[str, Any]:
    """A saved model's size, density and bits, and what one pass of the last shape costs."""
    *_, batch = bench_batches(job.data(job.last), job.recipe.bench)
    model = load_model_folder(folder)
    layers = layer_bytes(model, folder)
    return {
        **measure(model, batch, folder),
        "pass_shape": shape_name(batch),
        "density": density(model),
        "bits": effective_bits(model),
        "ledger": by_parts(size_ledger(model, folder), layers),
        "layers": layers,
    }


def _traffic(row: Artefact, costs: dict[str, Any]) -> dict[str, Any]:
    """What a pass moves and takes where weights are floats; of codes the graph knows nothing."""
    if costs["bits"] or (row.onnx is not None and row.onnx.name != FLOAT):
        return {"bytes_moved": None}
    return {"energy_mj_estimate": energy_estimate(costs["macs"], costs["bytes_moved"])}


def _bits_in_file(row: Artefact, costs: dict[str, Any]) -> dict[str, Any]:
    """What the codes take in an ONNX file, whose operators have 2, 4 and 8 bits only."""
    if row.onnx is None or row.onnx.name != FILES[CODES]:
        return {}
    nominal, numbers = costs["bits"][ALL].nominal, quantized_numbers(load_model_folder(row.folder))
    return {"bits": {ALL: Bits(nominal=nominal, effective=8 * code_bytes(row.onnx) / numbers)}}


def _stages(job: Job) -> Iterator[dict[str, Any]]:
    for position, stage in enumerate(job.recipe.stages):
        record = job.part(position + 1).record
        assert record is not None, "a report before its stages were done"
        yield _line(stage.method, record["seconds"], record["edits"], record["parameters"])


def _exports(job: Job) -> Iterator[dict[str, Any]]:
    """Only where there are exports: of the teacher, of the result."""
    before = job.teacher_after if job.recipe.evaluate.before else None
    for name, after in (("teacher", before), ("result", job.last)):
        if after is not None and job.recipe.export.onnx:
            record, model = export_part(job, after).record, job.part(after).record
            assert record is not None, "a report before its exports were done"
            assert model is not None
            yield _line(f"export, {name}", record["seconds"], 0, model["parameters"])


def _line(
    method: str, seconds: float, edits: int = 0, parameters: int | None = None
) -> dict[str, Any]:
    """One line of the report's stages; `parameters` is None where no single model is meant."""
    return {
        "method": method,
        "seconds": round(seconds, 3),
        "edits": edits,
        "parameters": parameters,
    }


def _size(path: Path | None) -> int | None:
    return None if path is None else path.stat().st_size
