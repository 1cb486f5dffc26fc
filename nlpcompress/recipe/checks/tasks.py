"""Problems of what goes with some tasks only, or after some methods only."""

from collections.abc import Iterator, Mapping

from nlpcompress.data.config import PICTURE_CHANGES
from nlpcompress.data.table import LABELLED_TEXT_TASKS
from nlpcompress.evaluation.heads import HEADS
from nlpcompress.evaluation.metrics import FITTING, METRICS
from nlpcompress.methods.table import METHODS
from nlpcompress.models.pretraining import PRETRAINING, order_label
from nlpcompress.models.tasks import TASKS
from nlpcompress.recipe.checks.reading import (
    Values,
    block,
    caught,
    known_methods,
    known_task,
    mappings,
    texts,
)
from nlpcompress.recipe.schema import RANDOM
from nlpcompress.recipe.train_keys import GROUP_BY_LENGTH

MORE_TEXTS = ("augment", "replace_tokens", "unlabelled")
"""Keys of a stage that trains on other texts than its data's, too."""
READING_LOGITS = ("at_init",)
"""Methods that score by logits, beside those that say so by what they need."""


def task_problems(recipe: Values) -> Iterator[str]:
    """What of a stage goes with some tasks only."""
    task = known_task(recipe)
    for position, stage in mappings(recipe.get("stages")):
        if task is not None:
            yield from _of_other_inputs(stage, task, f"stages.{position}")
        for key in PICTURE_CHANGES:
            changes = block(recipe, "data").get(key) not in (None, False, 0)
            if changes and stage.get("cache_teacher"):
                yield (
                    f"stages.{position}.cache_teacher: data.{key} changes pictures at random, and "
                    "a teacher has no one answer to store; leave one of them out"
                )
        for key in MORE_TEXTS:
            if isinstance(stage.get(key), Mapping):
                yield from _more_texts(stage, task, f"stages.{position}.{key}")
        if isinstance(augment := stage.get("augment"), Mapping):
            yield from _augment(augment, stage, f"stages.{position}")


def _of_other_inputs(stage: Values, task: str, where: str) -> Iterator[str]:
    """Keys for texts in a stage on pictures, and the other way round."""
    on_texts = TASKS[task].inputs == "text"
    if not on_texts and block(stage, "train").get(GROUP_BY_LENGTH):
        yield f"{where}.train.{GROUP_BY_LENGTH}: {task} has no lengths; leave it out"
    if on_texts and stage.get("channels_last"):
        yield f"{where}.channels_last: {task} has no channels; leave it out"


def _more_texts(stage: Values, task: str | None, where: str) -> Iterator[str]:
    """What other texts need: a task on texts with labels, and a training."""
    if task is not None and task not in LABELLED_TEXT_TASKS:
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


def pretraining_problems(recipe: Values) -> Iterator[str]:
    """Its models have two heads, and what reads one answer or one label an example cannot."""
    model = block(recipe, "model")
    if model.get("task") != PRETRAINING:
        return
    kind = block(model, "config").get("model_type")
    if model.get("id") == RANDOM and isinstance(kind, str):
        yield from caught(lambda: order_label(kind), "model.config.model_type")
    if block(recipe, "export").get("onnx", False):
        yield (
            f"export.onnx: {PRETRAINING} has two heads, which no runtime serves; leave it out, and "
            "export a model that started from this one for its own task"
        )
    for metric in texts(block(recipe, "evaluate").get("metrics")):
        if metric not in HEADS and (metric in METRICS or ":" in metric):
            yield f"evaluate.metrics: {metric} is of neither head; allowed: {', '.join(HEADS)}"
    for position, stage in mappings(recipe.get("stages")):
        for method in (stage, *(other for _, other in mappings(stage.get("also")))):
            yield from _of_one_head(method.get("method"), f"stages.{position}")


def fitting_problems(recipe: Values) -> Iterator[str]:
    """Metrics that cannot judge the task."""
    task = known_task(recipe)
    if task not in FITTING:
        return
    fitting = FITTING[task]
    for metric in texts(block(recipe, "evaluate").get("metrics")):
        if metric in METRICS and metric not in fitting:
            yield (
                f"evaluate.metrics: {metric} does not go with {task}; allowed: {', '.join(fitting)}"
            )


def _of_one_head(name: object, where: str) -> Iterator[str]:
    method = METHODS.load(name) if name in METHODS else None
    if method is not None and (
        method.needs_teacher or method.needs_batches or name in READING_LOGITS
    ):
        yield (
            f"{where}: {name} reads the answers of one head, and {PRETRAINING} has two; use the "
            "task masked-lm or sentence-order in a recipe of its own"
        )


def renumbering_problems(recipe: Values) -> Iterator[str]:
    """A teacher of other tokens than the student's is heard beforehand, and by its answers only."""
    before, task = None, known_task(recipe)
    for position, stage in mappings(recipe.get("stages")):
        others = (other.get("method") for _, other in mappings(stage.get("also")))
        known = known_methods((stage.get("method"), *others))
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
        for key in MORE_TEXTS:
            if before and learning and stage.get(key) is not None:
                yield f"{where}.{key}: the teacher has no answers to other texts after {before}"
        for method in known:
            if method.renumbers and task is not None and task not in LABELLED_TEXT_TASKS:
                yield f"{where}.method: {method.name} goes with {' and '.join(LABELLED_TEXT_TASKS)}"
        before = next((method.name for method in known if method.renumbers), before)
