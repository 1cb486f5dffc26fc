"""Labels as numbers: class numbers from 0, or real numbers; and whether they fit a model."""

import math
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np

from nlpcompress.core.nearest import nearest
from nlpcompress.data.task_data import TaskData
from nlpcompress.errors import DataError


def check_labels(data: TaskData, num_labels: int) -> None:
    """Raises `DataError` when the data has not as many labels as a model has outputs.

    Data without classes (masked-lm) fits any model.
    """
    if data.labels and len(data.labels) != num_labels:
        names = ", ".join(data.labels[:20]) + (", …" if len(data.labels) > 20 else "")
        raise DataError(
            f"the model has {num_labels} label(s), the data has {len(data.labels)} ({names}); load "
            "the model with the data's labels (a new head), or choose data and task that fit the "
            "model"
        )


def class_names(train: datasets.Dataset, column: str) -> tuple[str, ...]:
    """The classes in the order of their numbers: the column type's, else those of the training
    rows.

    Words are sorted; whole numbers must count from 0 without gaps. Raises `DataError`.
    """
    feature = train.features[column]
    names = (
        tuple(feature.names)
        if isinstance(feature, datasets.ClassLabel)
        else _found(train[column][:], column)
    )
    if len(names) < 2:
        raise DataError(
            f"column '{column}' has only {len(names)} class ({', '.join(names)}); at least two are "
            "needed"
        )
    return names


def class_numbers(values: Sequence[Any], names: Sequence[str], *, where: str) -> np.ndarray:
    """Class numbers, int64 `(rows,)`, of words, booleans or numbers.

    Raises `DataError` with the row.
    """
    number = {name: position for position, name in enumerate(names)}
    return np.array(
        [_number(value, number, f"{where}, row {row}") for row, value in enumerate(values)],
        dtype=np.int64,
    )


def real_numbers(values: Sequence[Any], *, where: str) -> np.ndarray:
    """Real labels, float32 `(rows,)`.

    Raises `DataError` with the row of one that is missing, text or not finite.
    """
    for row, value in enumerate(values):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise DataError(
                f"{where}, row {row}: the label of a text-regression is a finite number, got "
                f"{value!r}"
            )
    return np.array(values, dtype=np.float32)


def _found(values: Sequence[Any], column: str) -> tuple[str, ...]:
    kinds = {type(value) for value in values}
    if type(None) in kinds:
        raise DataError(
            f"column '{column}' of train has no label in row {list(values).index(None)} (rows "
            "count from 0); fill or drop the row"
        )
    if kinds == {bool}:
        return ("false", "true")
    if kinds == {str}:
        return tuple(sorted(set(values)))
    if kinds == {int}:
        return _counted(set(values), column)
    raise DataError(
        f"column '{column}' holds {', '.join(sorted(kind.__name__ for kind in kinds))}; classes "
        "are words, booleans or whole numbers from 0 (for real numbers use task text-regression)"
    )


def _counted(present: set[int], column: str) -> tuple[str, ...]:
    if present != set(range(len(present))):
        shown = ", ".join(str(value) for value in sorted(present)[:10])
        raise DataError(
            f"column '{column}' has classes {shown}; whole numbers must count from 0 without gaps, "
            "or be written as words"
        )
    return tuple(str(value) for value in range(len(present)))


def _number(value: Any, number: dict[str, int], where: str) -> int:
    if value is None:
        raise DataError(f"{where}: the label is missing; fill or drop the row")
    if isinstance(value, str | bool):
        name = str(value).lower() if isinstance(value, bool) else value
        if name not in number:
            raise DataError(
                f"{where}: label {name!r} does not occur in train{nearest(name, number)}"
            )
        return number[name]
    if not (isinstance(value, int) and 0 <= value < len(number)):
        raise DataError(
            f"{where}: label {value!r} is out of range; allowed: whole numbers 0 to "
            f"{len(number) - 1}"
        )
    return value
