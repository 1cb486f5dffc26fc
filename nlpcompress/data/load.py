"""From a config to data ready for a task: read, check, split, number the labels, tokenise."""

from collections.abc import Callable
from dataclasses import replace

import datasets
import numpy as np
import torch
from transformers import BaseImageProcessor, PreTrainedTokenizerBase

from nlpcompress.data.check import check_source
from nlpcompress.data.collate import ImageCollate, TextCollate
from nlpcompress.data.columns import (
    image_column,
    label_column,
    splits,
    text_columns,
    texts_and_label,
)
from nlpcompress.data.config import DataConfig, MaskingConfig
from nlpcompress.data.corpus import corpus_rows, count_tokens, with_tokens
from nlpcompress.data.labels import class_names, class_numbers, real_numbers
from nlpcompress.data.masking import (
    MaskingCollate,
    Spans,
    choice_chances,
    mask_rows,
    ordinary_tokens,
)
from nlpcompress.data.pictures.changes import changes_of
from nlpcompress.data.pictures.mixup import MixupCollate
from nlpcompress.data.pretraining import PretrainingCollate
from nlpcompress.data.sentence_order import COLUMNS as PAIR
from nlpcompress.data.sentence_order import LABELS as ORDERS
from nlpcompress.data.sentence_order import order_rows
from nlpcompress.data.source import Source
from nlpcompress.data.spans import continuing_pieces
from nlpcompress.data.split import choose_rows, training_only
from nlpcompress.data.table import (
    DATASETS,
    HUB,
    IMAGES,
    LABELLED_TEXT_TASKS,
    MASKED_LM,
    PRETRAINING,
    SENTENCE_ORDER,
)
from nlpcompress.data.task_data import Collate, TaskData
from nlpcompress.data.tokenize import checked_tokenizer, tokenize
from nlpcompress.errors import DataError

Processor = PreTrainedTokenizerBase | BaseImageProcessor | None
Rewrite = Callable[[datasets.Dataset, tuple[str, ...]], datasets.Dataset]


def load_data(
    config: DataConfig,
    *,
    task: str,
    processor: Processor,
    seed: int = 0,
    rewrite: Rewrite | None = None,
    order_label: str = "sentence_order_label",
) -> TaskData:
    """Read, check and prepare a data set.

    `processor` is the model's tokenizer, or its image processor (None: pixels are only scaled to
    0…1). `seed` orders the training rows and draws `train_samples` of them; the test rows never
    depend on it. `rewrite(rows, text columns)` may change the training rows of a text task before
    they are tokenised, such as `augment`. Rows for pretraining have their order as `order_label`,
    as the model's forward calls it (`models.pretraining.order_label`). Nothing is written but the
    `datasets` library's own cache of files and hub sets. Raises `DataError`.
    """
    check_source(config, task=task)
    if rewrite is not None and task not in LABELLED_TEXT_TASKS:
        raise DataError(f"rewrite goes with {', '.join(LABELLED_TEXT_TASKS)}, not with {task}")
    if task == IMAGES:
        return _images(config, processor, seed)
    tokenizer = checked_tokenizer(processor, config.max_length)
    if task == MASKED_LM:
        return _corpus(config, tokenizer, seed)
    if task == SENTENCE_ORDER:
        return _sentence_order(config, tokenizer, seed)
    if task == PRETRAINING:
        return _pretraining(config, tokenizer, seed, order_label)
    return _texts(config, task=task, tokenizer=tokenizer, seed=seed, rewrite=rewrite)


def read_source(config: DataConfig) -> Source:
    """The raw splits. Raises `DataError` when the source is missing or a split is empty."""
    reader = DATASETS.load(config.name) if config.name in DATASETS else HUB.load("hub")
    source = reader(config)
    for where, split in splits(source):
        if len(split) == 0:
            raise DataError(f"{where} of '{config.name}' has no rows; at least one is needed")
    return training_only(source) if config.validation else source


def _texts(
    config: DataConfig,
    *,
    task: str,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    rewrite: Rewrite | None,
) -> TaskData:
    source = read_source(config)
    columns, column = texts_and_label(source, config)
    labels: tuple[str, ...]
    if task == "text-regression":
        labels, dtype = (column,), torch.float32
        numbers = [real_numbers(split[column][:], where=where) for where, split in splits(source)]
    else:
        labels, dtype = class_names(source.train, column), torch.int64
        numbers = _class_numbers(source, column, labels)
    rows = choose_rows(source, config, seed)
    train, test = _selected(_labelled(source, columns, numbers), rows)
    if rewrite is not None:
        train = rewrite(train, columns)
    train, test = (
        tokenize(split, tokenizer, columns=columns, max_length=config.max_length)
        for split in (train, test)
    )
    return TaskData(task, labels, train, test, TextCollate(tokenizer, dtype))


def _sentence_order(config: DataConfig, tokenizer: PreTrainedTokenizerBase, seed: int) -> TaskData:
    train, test = _pairs(config, tokenizer, seed)
    collate = TextCollate(tokenizer, torch.int64)
    return TaskData(SENTENCE_ORDER, ORDERS, train, test, collate, together=2)


def _pretraining(
    config: DataConfig, tokenizer: PreTrainedTokenizerBase, seed: int, order_label: str
) -> TaskData:
    """The pairs of sentence-order, masked as for masked-lm."""
    ordinary = ordinary_tokens(tokenizer)
    train, test = (
        with_tokens(rows.rename_column("labels", order_label), tokenizer)
        for rows in _pairs(config, tokenizer, seed)
    )
    collate, fixed = _maskings(config, train, tokenizer, ordinary)
    return TaskData(
        PRETRAINING, (), train, mask_rows(test, fixed), PretrainingCollate(collate, order_label)
    )


def _pairs(
    config: DataConfig, tokenizer: PreTrainedTokenizerBase, seed: int
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Documents are split first, so that no document has pairs in both; test pairs share none."""
    source = read_source(config)
    columns = text_columns(source, config)
    texts = [split.select_columns(list(columns)) for _, split in splits(source)]
    documents = _selected(texts, choose_rows(source, config, seed))
    train, test = (
        tokenize(
            order_rows(
                split, tokenizer, columns=columns, max_length=config.max_length, overlap=overlap
            ),
            tokenizer,
            columns=PAIR,
            max_length=config.max_length,
        )
        for split, overlap in zip(documents, (True, False), strict=True)
    )
    return train, test


def _corpus(config: DataConfig, tokenizer: PreTrainedTokenizerBase, seed: int) -> TaskData:
    """Training rows are masked as they are collated; test rows are masked here, once for all.

    No test mask depends on `seed`, on smoothing, on spans or on the size of batches.
    """
    masking, ordinary = config.masking or MaskingConfig(), ordinary_tokens(tokenizer)
    source = read_source(config)
    columns = text_columns(source, config)
    texts = [split.select_columns(list(columns)) for _, split in splits(source)]
    train, test = (
        corpus_rows(
            split, tokenizer, columns=columns, max_length=config.max_length, group=masking.group
        )
        for split in _selected(texts, choose_rows(source, config, seed))
    )
    collate, fixed = _maskings(config, train, tokenizer, ordinary)
    return TaskData(MASKED_LM, (), train, mask_rows(test, fixed), collate)


def _maskings(
    config: DataConfig,
    train: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    ordinary: torch.Tensor,
) -> tuple[MaskingCollate, MaskingCollate]:
    """What masks training rows, and what masks test rows, without spans and smoothing."""
    masking, counts = config.masking or MaskingConfig(), count_tokens(train, len(ordinary))
    chances, alike = (
        choice_chances(counts, ordinary, probability=masking.probability, smoothing=smoothing)
        for smoothing in (masking.smoothing, 0.0)
    )
    spans = _spans(masking, tokenizer)
    return MaskingCollate(tokenizer, chances, spans=spans), MaskingCollate(tokenizer, alike)


def _spans(masking: MaskingConfig, tokenizer: PreTrainedTokenizerBase) -> Spans | None:
    if masking.ngram == 1:
        return None
    return Spans(continuing_pieces(tokenizer), masking.probability, masking.ngram)


def _images(config: DataConfig, processor: Processor, seed: int) -> TaskData:
    if isinstance(processor, PreTrainedTokenizerBase):
        raise DataError(
            f"pictures are read through an image processor or None, got {type(processor).__name__}"
        )
    if processor is not None and config.image_size is not None:
        raise DataError(
            f"data.image_size: {config.image_size}, but the model's image processor says how large "
            "pictures are; leave it out"
        )
    source = read_source(config)
    pixels, column = image_column(source), label_column(source, config)
    labels = class_names(source.train, column)
    rows = choose_rows(source, config, seed)
    labelled = _labelled(source, (pixels,), _class_numbers(source, column, labels))
    train, test = (
        split.rename_columns({pixels: "pixel_values"}).with_format("numpy")
        for split in _selected(labelled, rows)
    )
    collate = ImageCollate(processor, size=config.image_size)
    return TaskData(IMAGES, labels, train, test, collate, _changing(config, collate, len(labels)))


def _changing(config: DataConfig, plain: ImageCollate, classes: int) -> Collate | None:
    """What changes training pictures by chance: each by itself, then two into one."""
    change = changes_of(config)
    if change is None and config.mixup is None:
        return None
    collate = replace(plain, change=change)
    return collate if config.mixup is None else MixupCollate(collate, config.mixup, classes)


def _class_numbers(source: Source, column: str, labels: tuple[str, ...]) -> list[np.ndarray]:
    return [class_numbers(split[column][:], labels, where=where) for where, split in splits(source)]


def _labelled(
    source: Source, columns: tuple[str, ...], numbers: list[np.ndarray]
) -> list[datasets.Dataset]:
    """Train and test with only `columns` and, as `labels`, the numbers."""
    return [
        split.select_columns(list(columns)).add_column("labels", values)
        for (_, split), values in zip(splits(source), numbers, strict=True)
    ]


def _selected(
    labelled: list[datasets.Dataset], rows: tuple[np.ndarray, np.ndarray]
) -> list[datasets.Dataset]:
    """Train and test; both come out of the one split when there is only one."""
    train, test = rows
    return [labelled[0].select(train), labelled[-1].select(test)]
