"""The table of metrics: name → function of predictions and labels; fractions, never per cent."""

from collections.abc import Sequence
from pathlib import PurePath

from nlpcompress.core.nearest import nearest
from nlpcompress.core.registry import Registry
from nlpcompress.errors import DataError
from nlpcompress.evaluation.tally import Metric

METRICS = Registry(
    "metric",
    {
        "accuracy": "nlpcompress.evaluation.classification:accuracy",
        "balanced_accuracy": "nlpcompress.evaluation.classification:balanced_accuracy",
        "f1": "nlpcompress.evaluation.classification:f1",
        "f1_macro": "nlpcompress.evaluation.classification:f1_macro",
        "precision": "nlpcompress.evaluation.classification:precision",
        "recall": "nlpcompress.evaluation.classification:recall",
        "matthews_correlation": "nlpcompress.evaluation.classification:matthews_correlation",
        "pearson": "nlpcompress.evaluation.regression:pearson",
        "spearman": "nlpcompress.evaluation.regression:spearman",
        "mse": "nlpcompress.evaluation.regression:mse",
        "mae": "nlpcompress.evaluation.regression:mae",
        "masked_accuracy": "nlpcompress.evaluation.masked:masked_accuracy",
        "masked_loss": "nlpcompress.evaluation.masked:masked_loss",
        "perplexity": "nlpcompress.evaluation.masked:perplexity",
        "order_accuracy": "nlpcompress.evaluation.classification:order_accuracy",
    },
)
SMALLER_IS_BETTER = frozenset({"mse", "mae", "masked_loss", "perplexity"})

LIBRARIES = Registry(
    "metric library", {"evaluate": "nlpcompress.evaluation.adapter:library_metric"}
)

_OF_CLASSES = (
    *("accuracy", "balanced_accuracy", "f1", "f1_macro", "precision", "recall"),
    "matthews_correlation",
)
FITTING: dict[str, tuple[str, ...]] = {
    "text-classification": _OF_CLASSES,
    "image-classification": _OF_CLASSES,
    "sentence-order": _OF_CLASSES,
    "text-regression": ("pearson", "spearman", "mse", "mae"),
    "masked-lm": ("masked_accuracy", "masked_loss", "perplexity"),
}
"""Metrics of the table that can judge a task; those of pretraining are its heads'."""

DEFAULT_METRICS = {
    "text-classification": ("accuracy",),
    "image-classification": ("accuracy",),
    "text-regression": ("pearson", "spearman", "mse"),
    "masked-lm": ("masked_accuracy", "masked_loss"),
    "sentence-order": ("accuracy",),
    "pretraining": ("masked_accuracy", "masked_loss", "order_accuracy"),
}


def load_metric(name: str) -> Metric:
    """A metric of the table, or `evaluate:REFERENCE`, a module of the `evaluate` library.

    `metric(predictions, labels)` takes logits float `(N, C)` and class numbers int `(N,)`, or real
    predictions `(N,)` or `(N, 1)` and real labels `(N,)`, or logits of tokens `(N, T, V)` and ids
    `(N, T)`. Raises `UnknownNameError`; `DataError`
    for a library's metric.
    """
    library, mark, reference = name.partition(":")
    return LIBRARIES.load(library)(reference) if mark else METRICS.load(name)


def greater_is_better(name: str) -> bool:
    """Whether a higher value is better; a library's metric is judged by the end of its name."""
    if ":" in name:
        return PurePath(name.partition(":")[2].partition("#")[0]).stem not in SMALLER_IS_BETTER
    return METRICS.check(name) not in SMALLER_IS_BETTER


def default_metrics(task: str) -> tuple[str, ...]:
    """The metrics of a task when the recipe names none. Raises `DataError` for a task without."""
    if task not in DEFAULT_METRICS:
        raise DataError(f"no default metric for the task '{task}'{nearest(task, DEFAULT_METRICS)}")
    return DEFAULT_METRICS[task]


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """The named metrics, in order.

    Raises as `load_metric` does, and `DataError` when there are none.
    """
    if not names:
        raise DataError(f"no metric named; choose some of: {', '.join(METRICS)}")
    return {name: load_metric(name) for name in names}
