"""What the schema cannot say: names that must be in tables, and parts that must fit each other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

from nlpcompress.core.method import Method
from nlpcompress.core.registry import Registry
from nlpcompress.data.check import check_source
from nlpcompress.data.config import PICTURE_CHANGES, DataConfig
from nlpcompress.data.table import LABELLED_TEXT_TASKS
from nlpcompress.errors import ConfigError, NlpCompressError
from nlpcompress.evaluation.heads import HEADS
from nlpcompress.evaluation.metrics import LIBRARIES, METRICS
from nlpcompress.methods.table import METHODS
from nlpcompress.models.pretraining import PRETRAINING, order_label
from nlpcompress.models.random import random_config
from nlpcompress.models.tasks import TASKS, task_named
from nlpcompress.recipe.roles import cuts, quantizes
from nlpcompress.recipe.schema import RANDOM, ExportConfig
from nlpcompress.recipe.train_keys import GROUP_BY_LENGTH, train_problems

Values = Mapping[str, Any]
COPIES = ("augment", "replace_tokens")
"""Keys of a stage that trains on copies of its texts."""
STATIC_KEYS = {
    "per_channel": ("static-int8",),
    "calibration_samples": ("static-int8", "nncf-int8"),
}
"""Key → the ways of quantizing it is for."""
READING_LOGITS = ("at_init",)
"""Methods that score by logits, beside those that say so by what they need."""


def meaning_problems(recipe: Values) -> list[str]:
    """One line a problem, with its path. Wrong types are passed over: the schema names them."""
    return [
        *_model(_block(recipe, "model")),
        *_data(recipe),
        *_metrics(_block(recipe, "evaluate")),
        *_export(_block(recipe, "export"), recipe.get("stages")),
        *_stages(recipe.get("stages")),
        *_for_the_task(recipe),
        *_for_pretraining(recipe),
        *_after_renumbering(recipe),
    ]


def _block(values: Values, key: str) -> Values:
    block = values.get(key)
    return block if isinstance(block, Mapping) else {}


def _name_problems(table: Registry, name: object, where: str) -> Iterator[str]:
    if isinstance(name, str):
        yield from _caught(lambda: table.check(name), where)


def _caught(check: Callable[[], object], where: str) -> Iterator[str]:
    try:
        check()
    except NlpCompressError as error:
        prefix = f"{where}: " if where else ""
        yield from (f"{prefix}{line}" for line in str(error).splitlines())


def _model(model: Values) -> Iterator[str]:
    task = model.get("task")
    if isinstance(task, str):
        yield from _caught(lambda: task_named(task), "model.task")
    if model.get("id") == RANDOM and not model.get("config"):
        yield "model.config: required with `id: random`, such as {model_type: bert}"
    if model.get("id") == RANDOM and isinstance(model.get("config"), Mapping):
        yield from _caught(lambda: random_config(model["config"]), "")
    if isinstance(model.get("id"), str) and model["id"] != RANDOM and model.get("config"):
        yield f"model.config: only for `id: random`; '{model['id']}' brings its own"


def _data(recipe: Values) -> Iterator[str]:
    task = _block(recipe, "model").get("task")
    try:
        data = DataConfig.parse(_block(recipe, "data"))
    except ConfigError:
        return
    if isinstance(task, str) and task in TASKS:
        yield from _caught(lambda: check_source(data, task=task), "data")


def _metrics(evaluate: Values) -> Iterator[str]:
    names = evaluate.get("metrics")
    for position, name in enumerate(names if isinstance(names, list) else ()):
        table, part = (LIBRARIES, name.partition(":")[0]) if ":" in str(name) else (METRICS, name)
        yield from _name_problems(table, part, f"evaluate.metrics.{position}")


def _export(export: Values, stages: object) -> Iterator[str]:
    quantize = export.get("quantize", "none")
    if quantize != "none" and not export.get("onnx", False):
        yield f"export.quantize: {quantize} needs `onnx: true`"
    methods = [stage.get("method") for _, stage in _mappings(stages)]
    if quantize == "codes" and not any(m not in METHODS or quantizes(m) for m in methods):
        yield "export.quantize: codes are those of a quantized model; add the stage hessian_mixed"
    for key, ways in STATIC_KEYS.items():
        given = export.get(key, (default := ExportConfig.model_fields[key].default))
        if given != default and quantize not in ways:
            allowed = " or ".join(f"`quantize: {way}`" for way in ways)
            yield f"export.{key}: is for {allowed}, not for {quantize}; leave it out"
    others = {*(export.get("runtimes") or ())} - {"onnxruntime"}
    if others and not export.get("onnx", False):
        yield f"export.runtimes: {min(others)} runs ONNX files; it needs `onnx: true`"
    if export.get("max_metric_drop") is not None and quantize == "none":
        yield "export.max_metric_drop: bounds what quantization costs; it needs `quantize`"


def _stages(stages: object) -> Iterator[str]:
    if isinstance(stages, list) and not stages:
        yield "stages: empty; a recipe needs at least one stage"
    cut_before = False
    for position, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, Mapping):
            yield from _stage(stage, f"stages.{position}", cut_before=cut_before)
        cut_before = cut_before or _may_cut(stage)


def _for_the_task(recipe: Values) -> Iterator[str]:
    """What of a stage goes with some tasks only."""
    task = _block(recipe, "model").get("task")
    for position, stage in _mappings(recipe.get("stages")):
        if (
            task in TASKS
            and TASKS[task].inputs != "text"
            and _block(stage, "train").get(GROUP_BY_LENGTH)
        ):
            yield f"stages.{position}.train.{GROUP_BY_LENGTH}: {task} has no lengths; leave it out"
        for key in PICTURE_CHANGES:
            changes = _block(recipe, "data").get(key) not in (None, False, 0)
            if changes and stage.get("cache_teacher"):
                yield (
                    f"stages.{position}.cache_teacher: data.{key} changes pictures at random, and "
                    "a teacher has no one answer to store; leave one of them out"
                )
        for key in COPIES:
            if isinstance(stage.get(key), Mapping):
                yield from _copies(stage, task, f"stages.{position}.{key}")
        if isinstance(augment := stage.get("augment"), Mapping):
            yield from _augment(augment, stage, f"stages.{position}")


def _for_pretraining(recipe: Values) -> Iterator[str]:
    """Its models have two heads, and what reads one answer or one label an example cannot."""
    model = _block(recipe, "model")
    if model.get("task") != PRETRAINING:
        return
    kind = _block(model, "config").get("model_type")
    if model.get("id") == RANDOM and isinstance(kind, str):
        yield from _caught(lambda: order_label(kind), "model.config.model_type")
    if _block(recipe, "export").get("onnx", False):
        yield (
            f"export.onnx: {PRETRAINING} has two heads, which no runtime serves; leave it out, and "
            "export a model that started from this one for its own task"
        )
    metrics = _block(recipe, "evaluate").get("metrics")
    for metric in metrics if isinstance(metrics, list) else ():
        if metric not in HEADS and (metric in METRICS or ":" in str(metric)):
            yield f"evaluate.metrics: {metric} is of neither head; allowed: {', '.join(HEADS)}"
    for position, stage in _mappings(recipe.get("stages")):
        for method in (stage, *(other for _, other in _mappings(stage.get("also")))):
            yield from _of_one_head(method.get("method"), f"stages.{position}")


def _of_one_head(name: object, where: str) -> Iterator[str]:
    method = METHODS.load(name) if name in METHODS else None
    if method is not None and (
        method.needs_teacher or method.needs_batches or name in READING_LOGITS
    ):
        yield (
            f"{where}: {name} reads the answers of one head, and {PRETRAINING} has two; use the "
            "task masked-lm or sentence-order in a recipe of its own"
        )


def _after_renumbering(recipe: Values) -> Iterator[str]:
    """A teacher of other tokens than the student's is heard beforehand, and by its answers only."""
    before, task = None, _block(recipe, "model").get("task")
    for position, stage in _mappings(recipe.get("stages")):
        others = (other.get("method") for _, other in _mappings(stage.get("also")))
        known = _known((stage.get("method"), *others))
        learning = [method.name for method in known if method.needs_teacher]
        where = f"stages.{position}"
        if before and learning and not stage.get("cache_teacher"):
            yield (
                f"{where}.cache_teacher: required: after {before} the teacher has other tokens "
                "than the student, so it answers beforehand; write cache_teacher: true"
            )
        if before and any(method.looks_inside for method in known):
            yield (
                f"{where}: after {before} teacher and student have no tokens to compare; learn "
                "from answers alone with logits, or do this before"
            )
        for key in COPIES if before and learning else ():
            if stage.get(key) is not None:
                yield f"{where}.{key}: the teacher has no answers to copies after {before}"
        for method in known:
            if method.renumbers and task in TASKS and task not in LABELLED_TEXT_TASKS:
                yield f"{where}.method: {method.name} goes with {' and '.join(LABELLED_TEXT_TASKS)}"
        before = next((method.name for method in known if method.renumbers), before)


def _copies(stage: Values, task: object, where: str) -> Iterator[str]:
    """What copies of texts need: texts with labels, and a training."""
    if task in TASKS and task not in LABELLED_TEXT_TASKS:
        yield f"{where}: goes with {' and '.join(LABELLED_TEXT_TASKS)}, not with {task}"
    if stage.get("train") is None:
        yield f"{where}: the stage does not train; give it a train block, or leave it out"


def _augment(augment: Values, stage: Values, where: str) -> Iterator[str]:
    """It needs a model that proposes words, and makes the copies alone."""
    if augment.get("masked_lm") is None:
        yield (
            f"{where}.augment.masked_lm: required: name the masked language model that proposes "
            "words, such as bert-base-uncased"
        )
    if stage.get("replace_tokens") is not None:
        yield f"{where}.replace_tokens: copies are made by augment already; leave one of them out"


def _may_cut(stage: object) -> bool:
    """A misspelt stage may be meant to cut: one mistake is told once."""
    name = stage.get("method") if isinstance(stage, Mapping) else None
    return name not in METHODS or cuts(name)


def _stage(stage: Values, where: str, *, cut_before: bool) -> Iterator[str]:
    name, train = stage.get("method"), stage.get("train")
    if isinstance(train, Mapping):
        yield from train_problems(train, f"{where}.train")
    yield from _name_problems(METHODS, name, f"{where}.method")
    if name not in METHODS:
        return
    yield from _config(name, stage.get("config"), f"{where}.config")
    if train is None and not cuts(name):
        yield (
            f"{where}.train: required: {name} only teaches, and teaches nothing without training; "
            "write TrainingArguments, such as train: {num_train_epochs: 1, learning_rate: 5.0e-5}"
        )
    beside = list(_mappings(stage.get("also")))
    for position, other in beside:
        yield from _also(other, f"{where}.also.{position}", trains=train is not None)
    methods = [name, *(other.get("method") for _, other in beside)]
    yield from _teacher(methods, stage.get("teacher"), where, cut_before=cut_before)
    if stage.get("cache_teacher"):
        yield from _answers(methods, f"{where}.cache_teacher")
    if stage.get("cache_scores"):
        yield from _scores(methods, f"{where}.cache_scores")


def _answers(methods: Sequence[object], where: str) -> Iterator[str]:
    """Stored answers must be what the methods learn from."""
    if not any(method.needs_teacher for method in _known(methods)):
        yield f"{where}: no method of this stage learns from a teacher; leave it out"


def _scores(methods: Sequence[object], where: str) -> Iterator[str]:
    """Stored scores must be what the methods decide by."""
    if not any(method.stores_scores for method in _known(methods)):
        yield f"{where}: no method of this stage stores scores; leave it out"


def _known(methods: Iterable[object]) -> list[type[Method]]:
    return [METHODS.load(name) for name in methods if name in METHODS]


def _config(name: str, config: object, where: str) -> Iterator[str]:
    if config is None or isinstance(config, Mapping):
        yield from _caught(lambda: METHODS.load(name).Config.parse(config or {}, where=where), "")


def _mappings(values: object) -> Iterator[tuple[int, Values]]:
    for position, value in enumerate(values if isinstance(values, (list, tuple)) else ()):
        if isinstance(value, Mapping):
            yield position, value


def _also(other: Values, where: str, *, trains: bool) -> Iterator[str]:
    name = other.get("method")
    yield from _name_problems(METHODS, name, f"{where}.method")
    if name not in METHODS:
        return
    yield from _config(name, other.get("config"), f"{where}.config")
    if cuts(name):
        yield f"{where}.method: {name} cuts, and only one method of a stage may; give it a stage"
    if not trains:
        yield f"{where}: {name} teaches, but the stage does not train; give it a train block"


def _teacher(
    methods: Sequence[object], teacher: object, where: str, *, cut_before: bool
) -> Iterator[str]:
    """By default a stage learns from the model before the first cut, its own or an earlier one."""
    known = [name for name in methods if name in METHODS]
    learning = [name for name in known if METHODS.load(name).needs_teacher]
    if learning and teacher is None and not (cut_before or cuts(known[0])):
        yield (
            f"{where}.teacher: required: {learning[0]} learns from the model before the first cut, "
            "and neither this stage nor an earlier one cuts; put a stage that cuts before it, or "
            "name a model id or folder"
        )
    if teacher is not None and not learning:
        yield f"{where}.teacher: {known[0]} does not learn from a teacher; leave it out"
    inside = [name for name in learning if METHODS.load(name).looks_inside]
    if inside and not isinstance(teacher, str) and isinstance(teacher, Sized) and len(teacher) > 1:
        yield (
            f"{where}.teacher: {inside[0]} looks into the teacher while it runs, and several have "
            "no one inside; name one"
        )
