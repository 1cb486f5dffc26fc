"""Problems of the blocks beside the stages."""

from collections.abc import Iterator, Mapping

from nlpcompress.data.check import check_source
from nlpcompress.data.config import DataConfig
from nlpcompress.errors import ConfigError
from nlpcompress.evaluation.metrics import LIBRARIES, METRICS
from nlpcompress.methods.table import METHODS
from nlpcompress.models.random import random_config
from nlpcompress.models.scaling import Factors, scale_config
from nlpcompress.models.tasks import task_named
from nlpcompress.recipe.checks.reading import (
    Values,
    block,
    caught,
    known_task,
    mappings,
    name_problems,
    texts,
)
from nlpcompress.recipe.roles import quantizes
from nlpcompress.recipe.schema import AUTO, COMPILED, ONNX_RUNTIME, RANDOM, TORCH, ExportConfig
from nlpcompress.search.compound import CompoundScaling

STATIC_KEYS = {
    "per_channel": ("static-int8", "auto"),
    "calibration_samples": ("static-int8", "nncf-int8", "auto"),
}
"""Key → the ways of quantizing it is for."""


def model_problems(model: Values) -> Iterator[str]:
    """What the model block says beside types."""
    task = model.get("task")
    if isinstance(task, str):
        yield from caught(lambda: task_named(task), "model.task")
    if model.get("id") == RANDOM and not model.get("config"):
        yield "model.config: required with `id: random`, such as {model_type: bert}"
    if model.get("id") == RANDOM and isinstance(model.get("config"), Mapping):
        yield from caught(lambda: _check_config(model), "")
    if isinstance(model.get("id"), str) and model["id"] != RANDOM and model.get("config"):
        yield f"model.config: only for `id: random`; '{model['id']}' brings its own"


def _check_config(model: Values) -> None:
    """Raises `ConfigError` when it cannot be made, or not be scaled."""
    config, scaling = random_config(model["config"]), _scaling_of(model)
    if scaling is not None:
        scale_config(config, Factors(scaling.width, scaling.depth))


def scaling_problems(recipe: Values) -> Iterator[str]:
    """Pictures grow with their network, from a size that is said."""
    model, scaling = block(recipe, "model"), _scaling_of(block(recipe, "model"))
    if scaling is None:
        return
    if model.get("id") != RANDOM:
        yield f"model.scaling: only for `id: random`; '{model.get('id')}' has its own size"
    elif scaling.resolution != 1 and not block(recipe, "data").get("image_size"):
        yield (
            "data.image_size: required with model.scaling, whose pictures grow from it; write the "
            "pixels a side at phi 0, or gamma: 1"
        )


def _scaling_of(model: Values) -> CompoundScaling | None:
    """None where there is none, or none that can be read."""
    given = model.get("scaling")
    try:
        return CompoundScaling.parse(given) if isinstance(given, Mapping) else None
    except ConfigError:
        return None


def data_problems(recipe: Values) -> Iterator[str]:
    """A data set that the task cannot be taught by, or that is not there."""
    task = known_task(recipe)
    try:
        data = DataConfig.parse(block(recipe, "data"))
    except ConfigError:
        return
    if task is not None:
        yield from caught(lambda: check_source(data, task=task), "data")


def metric_problems(evaluate: Values) -> Iterator[str]:
    """Names of metrics."""
    names = evaluate.get("metrics")
    for position, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str):
            library, mark, _ = name.partition(":")
            table, part = (LIBRARIES, library) if mark else (METRICS, name)
            yield from name_problems(table, part, f"evaluate.metrics.{position}")


def export_problems(export: Values, stages: object) -> Iterator[str]:
    """Keys that go with other keys only."""
    quantize = export.get("quantize", "none")
    if quantize != "none" and not export.get("onnx", False):
        yield f"export.quantize: {quantize} needs `onnx: true`"
    methods = [stage.get("method") for _, stage in mappings(stages)]
    if quantize == "codes" and not any(m not in METHODS or quantizes(m) for m in methods):
        yield "export.quantize: codes are those of a quantized model; add the stage hessian_mixed"
    for key, ways in STATIC_KEYS.items():
        given = export.get(key, (default := ExportConfig.model_fields[key].default))
        if given != default and quantize not in ways:
            allowed = " or ".join(f"`quantize: {way}`" for way in ways)
            yield f"export.{key}: is for {allowed}, not for {quantize}; leave it out"
    yield from _runtime_problems(export)
    if export.get("max_metric_drop") is not None and quantize == "none":
        yield "export.max_metric_drop: bounds what quantization costs; it needs `quantize`"


def _runtime_problems(export: Values) -> Iterator[str]:
    """Runtimes without the files that they run, and files without a runtime."""
    given = export.get("runtimes", ONNX_RUNTIME)
    runtimes = [given] if isinstance(given, str) else texts(given)
    onnx, of_torch = export.get("onnx", False), {TORCH, COMPILED}
    graphs = {*runtimes} - {ONNX_RUNTIME} - of_torch
    if graphs and not onnx:
        yield f"export.runtimes: {min(graphs)} runs ONNX files; it needs `onnx: true`"
    if onnx and runtimes and of_torch.issuperset(runtimes):
        yield (
            f"export.runtimes: {' and '.join(runtimes)} cannot run the files that `onnx: true` "
            "asks for; add onnxruntime"
        )
    if AUTO in runtimes and len(runtimes) > 1:
        yield "export.runtimes: auto is all that are installed; write it alone"
