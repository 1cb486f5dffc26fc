"""Changed copies of rows: drawn apart for each row, all different, put after their originals."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import datasets
import numpy as np
import pyarrow as pa

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import DataError

TRIES = 10

logger = logging.getLogger(__name__)

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Copies:
    """Copy i stems from row `source[i]` and has the texts `texts[i]`, one a column."""

    source: tuple[int, ...]
    texts: tuple[Texts, ...]


def read_texts(dataset: datasets.Dataset, columns: Sequence[str]) -> list[Texts]:
    """The texts of every row. Raises `DataError`: no rows, no columns, or one that is no text."""
    if not columns:
        raise DataError("no text columns were named; name one or two of: " + _held(dataset))
    for column in columns:
        _check_column(dataset, column)
    if len(dataset) == 0:
        raise DataError("the data has no rows, so there is nothing to make copies of")
    rows = list(zip(*(dataset[column][:] for column in columns), strict=True))
    gap = next((number for number, row in enumerate(rows) if None in row), None)
    if gap is not None:
        raise DataError(f"row {gap} (rows count from 0) has no text in {columns}; fill or drop it")
    return rows


def generator_of(seed: int, row: int) -> np.random.Generator:
    """A row's own randomness, whatever was drawn for other rows."""
    return np.random.default_rng(np.random.SeedSequence([seed, row]))


def draw_distinct(original: Texts, draw: Callable[[int], Texts], count: int) -> list[Texts]:
    """Up to `count` texts that differ from the original and from each other.

    `draw(number)` makes copy `number`; it has ten tries to be new, else the copy is left out.
    """
    made: dict[Texts, None] = {original: None}
    for number in range(count):
        tries = (draw(number) for _ in range(TRIES))
        new = next((texts for texts in tries if texts not in made), None)
        if new is not None:
            made[new] = None
    return list(made)[1:]


def gather(drawn: Sequence[Sequence[Texts]]) -> Copies:
    """`drawn[row]` are the copies of that row."""
    source = tuple(row for row, copies in enumerate(drawn) for _ in copies)
    return Copies(source, tuple(texts for copies in drawn for texts in copies))


def with_copies(
    dataset: datasets.Dataset, columns: Sequence[str], copies: Copies
) -> datasets.Dataset:
    """The rows, then the copies in the order of their rows, their other columns as in the row."""
    if not copies.source:
        return dataset
    table = dataset.with_format("arrow")[list(copies.source)]
    for number, column in enumerate(columns):
        place = table.schema.get_field_index(column)
        texts = pa.array([texts[number] for texts in copies.texts], table.schema.field(place).type)
        table = table.set_column(place, table.schema.field(place), texts)
    changed = datasets.Dataset(table, info=dataset.info, split=dataset.split)
    return datasets.concatenate_datasets([dataset, changed])


def report(copies: Copies, rows: int, wanted: int) -> None:
    """Logs how many copies there are, and for how many rows they are fewer than wanted."""
    found = np.bincount(np.asarray(copies.source, dtype=int), minlength=rows)
    short = int((found < wanted).sum())
    logger.info(
        "augmentation: %d copies of %d examples%s",
        *(found.sum(), rows),
        f"; {short} have fewer than {wanted}, as no more different ones were found" * (short > 0),
    )


def _check_column(dataset: datasets.Dataset, column: str) -> None:
    if column not in dataset.column_names:
        raise DataError(f"the data has no column '{column}'{nearest(column, dataset.column_names)}")
    kind = getattr(dataset.features[column], "dtype", None)
    if kind not in ("string", "large_string"):
        raise DataError(f"column '{column}' holds {kind or 'lists'}, not text")


def _held(dataset: datasets.Dataset) -> str:
    return ", ".join(dataset.column_names)
