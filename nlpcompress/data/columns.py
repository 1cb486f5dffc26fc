"""Which columns are read: the config's choice, else the reader's, else the usual names."""

from collections.abc import Iterable

import datasets

from nlpcompress.core.nearest import nearest
from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

LABEL_NAMES = ("label", "labels")
TEXT_NAMES = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text",),
    ("sentence",),
    ("review",),
    ("content",),
)
IMAGE_FEATURES = (datasets.Image, datasets.Array2D, datasets.Array3D)


def label_column(source: Source, config: DataConfig) -> str:
    """Name of the label's column. Raises `DataError` when it is missing in a split."""
    return _choose(source, config.label_column or source.label_column, LABEL_NAMES, "label_column")


def text_columns(source: Source, config: DataConfig) -> tuple[str, ...]:
    """Names of the one or two text columns.

    Raises `DataError` when one is missing, holds no text, or has a gap.
    """
    columns = config.text_columns or source.text_columns or _usual_texts(source.train.column_names)
    for column in columns:
        _require(source, column, "text_columns")
    if len(set(columns)) < len(columns):
        raise DataError(f"data.text_columns: '{columns[0]}' is given twice; give it once")
    for where, split in splits(source):
        for column in columns:
            _check_text(split, column, where)
    return columns


def texts_and_label(source: Source, config: DataConfig) -> tuple[tuple[str, ...], str]:
    """Names of the text columns and of the label's, which is none of them. Raises `DataError`."""
    columns, label = text_columns(source, config), label_column(source, config)
    if label in columns:
        raise DataError(
            f"data.text_columns: '{label}' is the label, which no text may tell; leave it out, or "
            "set data.label_column to another"
        )
    return columns, label


def image_column(source: Source) -> str:
    """Name of the one column of pictures. Raises `DataError` when there is none, or several."""
    found = [
        name
        for name, feature in source.train.features.items()
        if isinstance(feature, IMAGE_FEATURES)
    ]
    if len(found) != 1:
        held = ", ".join(f"{name} ({feature})" for name, feature in source.train.features.items())
        raise DataError(
            f"image-classification needs one column of pictures, found {len(found)} in: {held}"
        )
    return found[0]


def splits(source: Source) -> Iterable[tuple[str, datasets.Dataset]]:
    """The splits under their names, for messages."""
    return [("train", source.train), *([("test", source.test)] if source.test is not None else [])]


def _usual_texts(have: Iterable[str]) -> tuple[str, ...]:
    found = next((names for names in TEXT_NAMES if set(names) <= set(have)), None)
    if found is None:
        raise DataError(
            "no text column found by its name; set data.text_columns to one or two of: "
            f"{_listed(have)}"
        )
    return found


def _choose(source: Source, named: str | None, usual: Iterable[str], field: str) -> str:
    have = source.train.column_names
    column = named or next((name for name in usual if name in have), None)
    if column is None:
        raise DataError(
            f"no column named {' or '.join(usual)}; set data.{field} to one of: {_listed(have)}"
        )
    return _require(source, column, field)


def _require(source: Source, column: str, field: str) -> str:
    for where, split in splits(source):
        if column not in split.column_names:
            have = split.column_names
            raise DataError(
                f"data.{field}: {where} has no column '{column}'{nearest(column, have)} (has: "
                f"{_listed(have)})"
            )
    return column


def _check_text(split: datasets.Dataset, column: str, where: str) -> None:
    kind = getattr(split.features[column], "dtype", None)
    if kind not in ("string", "large_string"):
        raise DataError(
            f"data.text_columns: column '{column}' of {where} holds {kind or 'lists'}, not text"
        )
    gap = next((row for row, text in enumerate(split[column]) if text is None), None)
    if gap is not None:
        raise DataError(
            f"column '{column}' of {where} has no text in row {gap} (rows count from 0); fill or "
            "drop it"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
