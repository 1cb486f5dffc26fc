"""More texts for a teacher to answer: rows without labels, and none that the test set has."""

import logging

import datasets

from nlpcompress.data.check import check_source
from nlpcompress.data.columns import text_columns
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import read_source
from nlpcompress.data.source import Source
from nlpcompress.data.split import choose_rows, shuffled
from nlpcompress.data.table import MASKED_LM
from nlpcompress.errors import DataError

logger = logging.getLogger(__name__)
Texts = tuple[str, ...]


def check_unlabelled(config: DataConfig) -> None:
    """Raises `DataError` when it names no data set of texts, or says what is for labels."""
    check_source(config, task=MASKED_LM)


def check_alike(more: DataConfig, data: DataConfig) -> None:
    """Raises `DataError` when `more` cannot be read, or has other texts a row than `data`."""
    _source_like(more, text_columns(read_source(data), data))


def _source_like(more: DataConfig, columns: Texts) -> tuple[Source, Texts]:
    """With the names of its text columns, as many as `columns`."""
    source = read_source(more)
    own = text_columns(source, more)
    if len(own) != len(columns):
        raise DataError(
            f"unlabelled '{more.name}' has {len(own)} text(s) a row ({', '.join(own)}), the data "
            f"{len(columns)} ({', '.join(columns)}); set its text_columns"
        )
    return source, own


def with_unlabelled(
    rows: datasets.Dataset, columns: Texts, *, more: DataConfig, data: DataConfig, seed: int
) -> datasets.Dataset:
    """The texts of `rows`, then the training texts of `more`, all without labels.

    Of `more` those are left out that `rows` or the test set of `data` has, or that came before;
    `more.train_samples` of the others are drawn by `seed`. Raises `DataError` when `more` cannot be
    read, or has pairs where `rows` has single texts, or the other way round.
    """
    source, own = _source_like(more, columns)
    plain = rows.select_columns(list(columns))
    met = {*_texts(plain, columns), *_test_texts(data, columns)}
    new = [texts for texts in dict.fromkeys(_texts(source.train, own)) if texts not in met]
    drawn = [new[place] for place in shuffled(len(new), seed)[: more.train_samples]]
    logger.info(
        "%s: %d texts for the teacher to answer; %d others are in the data or came before",
        *(more.name, len(drawn), len(source.train) - len(new)),
    )
    values = {name: [texts[place] for texts in drawn] for place, name in enumerate(columns)}
    return datasets.concatenate_datasets(
        [plain, datasets.Dataset.from_dict(values, features=plain.features)]
    )


def _test_texts(data: DataConfig, columns: Texts) -> list[Texts]:
    """All of them, however few are measured."""
    source = read_source(data)
    _, test = choose_rows(source, data.model_copy(update={"test_samples": None}), 0)
    return _texts((source.train if source.test is None else source.test).select(test), columns)


def _texts(rows: datasets.Dataset, columns: Texts) -> list[Texts]:
    return list(zip(*(rows[name][:] for name in columns), strict=True))
