"""The tasks a model can be loaded for."""

from typing import NamedTuple

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import UnknownNameError


class Task(NamedTuple):
    """Name of the transformers class that loads it, what its inputs are, and what its labels mean
    to the head.

    `problem_type` is `None` for tasks without classes; `labelled` says whether the head has one
    output a label.
    """

    auto_class: str
    inputs: str = "text"
    labelled: bool = False
    problem_type: str | None = None


TASKS: dict[str, Task] = {
    "text-classification": Task(
        "AutoModelForSequenceClassification",
        labelled=True,
        problem_type="single_label_classification",
    ),
    "text-regression": Task("AutoModelForSequenceClassification", problem_type="regression"),
    "sentence-order": Task(
        "AutoModelForSequenceClassification",
        labelled=True,
        problem_type="single_label_classification",
    ),
    "token-classification": Task("AutoModelForTokenClassification", labelled=True),
    "question-answering": Task("AutoModelForQuestionAnswering"),
    "masked-lm": Task("AutoModelForMaskedLM"),
    "pretraining": Task("AutoModelForPreTraining"),
    "causal-lm": Task("AutoModelForCausalLM"),
    "text2text-generation": Task("AutoModelForSeq2SeqLM"),
    "feature-extraction": Task("AutoModel"),
    "image-classification": Task(
        "AutoModelForImageClassification",
        inputs="images",
        labelled=True,
        problem_type="single_label_classification",
    ),
}


def task_named(name: str) -> Task:
    """The task. Raises `UnknownNameError` with the nearest name."""
    if name not in TASKS:
        raise UnknownNameError(f"unknown task '{name}'{nearest(name, TASKS)}")
    return TASKS[name]
