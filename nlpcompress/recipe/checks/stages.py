"""Problems of the stages: their methods, configs, trainings and teachers."""

from collections.abc import Iterator, Mapping, Sequence, Sized

from nlpcompress.data.config import DataConfig
from nlpcompress.data.unlabelled import check_unlabelled
from nlpcompress.errors import ConfigError
from nlpcompress.methods.table import METHODS
from nlpcompress.recipe.checks.reading import Values, caught, known_methods, mappings, name_problems
from nlpcompress.recipe.roles import cuts, works_untrained
from nlpcompress.recipe.train_keys import train_problems

OF_TRAININGS: dict[str, object] = {"freeze": [], "dropout": None, "channels_last": False}
"""Keys of a stage that are for its training, and what they are where they say nothing."""


def stage_problems(stages: object) -> Iterator[str]:
    """Of each stage, in order."""
    if isinstance(stages, list) and not stages:
        yield "stages: empty; a recipe needs at least one stage"
    cut_before = False
    for position, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, Mapping):
            yield from _stage(stage, f"stages.{position}", cut_before=cut_before)
        cut_before = cut_before or _may_cut(stage)


def _may_cut(stage: object) -> bool:
    """A misspelt stage may be meant to cut: one mistake is told once."""
    name = stage.get("method") if isinstance(stage, Mapping) else None
    return name not in METHODS or cuts(name)


def _stage(stage: Values, where: str, *, cut_before: bool) -> Iterator[str]:
    name, train = stage.get("method"), stage.get("train")
    if isinstance(train, Mapping):
        yield from train_problems(train, f"{where}.train")
    yield from name_problems(METHODS, name, f"{where}.method")
    if name not in METHODS:
        return
    yield from _config(name, stage.get("config"), f"{where}.config")
    if train is None and not works_untrained(name):
        yield (
            f"{where}.train: required: {name} only teaches, and teaches nothing without training; "
            "write TrainingArguments, such as train: {num_train_epochs: 1, learning_rate: 5.0e-5}"
        )
    beside = list(mappings(stage.get("also")))
    for position, other in beside:
        yield from _also(other, f"{where}.also.{position}", trains=train is not None)
    methods = [name, *(other.get("method") for _, other in beside)]
    yield from _teacher(methods, stage.get("teacher"), where, cut_before=cut_before)
    for key, left_out in OF_TRAININGS.items():
        if train is None and stage.get(key, left_out) != left_out:
            yield f"{where}.{key}: this stage trains nothing; give it a train block or leave it out"
    if isinstance(stage.get("unlabelled"), Mapping):
        yield from _unlabelled(stage, [stage, *(other for _, other in beside)], where)
    if stage.get("cache_teacher"):
        yield from _answers(methods, f"{where}.cache_teacher")
    if stage.get("cache_scores"):
        yield from _scores(methods, f"{where}.cache_scores")


def _unlabelled(stage: Values, methods: Sequence[Values], where: str) -> Iterator[str]:
    """Texts without labels need a teacher that answers them, and no method that reads labels."""
    names = [method.get("method") for method in methods]
    if not any(method.needs_teacher for method in known_methods(names)):
        yield f"{where}.unlabelled: no method of this stage learns from a teacher; leave it out"
    weights = [weight for method in methods for weight in _task_weight(method)]
    if any(weights):
        yield (
            f"{where}.unlabelled: these texts have no labels, and labels weigh {max(weights):g} "
            "in this stage; write alpha_task: 0"
        )
    try:
        config = DataConfig.parse(stage["unlabelled"], where=f"{where}.unlabelled")
    except ConfigError:
        return  # the schema names it
    yield from caught(lambda: check_unlabelled(config), f"{where}.unlabelled")


def _task_weight(method: Values) -> Iterator[float]:
    """What labels weigh in it, if it says so."""
    name, values = method.get("method"), method.get("config") or {}
    if name not in METHODS or not isinstance(values, Mapping):
        return
    try:
        config = METHODS.load(name).Config.parse(values)
    except ConfigError:
        return
    weight = getattr(config, "task_weight", getattr(config, "alpha_task", None))
    if weight is not None:
        yield weight


def _answers(methods: Sequence[object], where: str) -> Iterator[str]:
    """Stored answers must be what the methods learn from."""
    if not any(method.needs_teacher for method in known_methods(methods)):
        yield f"{where}: no method of this stage learns from a teacher; leave it out"


def _scores(methods: Sequence[object], where: str) -> Iterator[str]:
    """Stored scores must be what the methods decide by."""
    if not any(method.stores_scores for method in known_methods(methods)):
        yield f"{where}: no method of this stage stores scores; leave it out"


def _config(name: object, config: object, where: str) -> Iterator[str]:
    if config is None or isinstance(config, Mapping):
        yield from caught(lambda: METHODS.load(name).Config.parse(config or {}, where=where), "")


def _also(other: Values, where: str, *, trains: bool) -> Iterator[str]:
    name = other.get("method")
    yield from name_problems(METHODS, name, f"{where}.method")
    if name not in METHODS:
        return
    yield from _config(name, other.get("config"), f"{where}.config")
    if works_untrained(name):
        does = "cuts" if cuts(name) else "changes the model"
        yield f"{where}.method: {name} {does}, and only one method of a stage may; give it a stage"
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
