"""The rows a stage trains on: the recipe's, and after them more texts and copies, if it asks."""

from collections.abc import Callable, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import Any

import datasets

from nlpcompress.data.augmentation.augment import augment
from nlpcompress.data.augmentation.config import AugmentConfig, ReplaceConfig
from nlpcompress.data.augmentation.replace_tokens import replace_tokens
from nlpcompress.data.load import load_data
from nlpcompress.data.unlabelled import with_unlabelled
from nlpcompress.recipe.job import Job
from nlpcompress.recipe.launch import main_first
from nlpcompress.recipe.source import word_model
from nlpcompress.recipe.workspace import PARTS

PROPOSALS = "proposals"
Rewrite = Callable[[datasets.Dataset, tuple[str, ...]], datasets.Dataset]


def training_rows(job: Job, position: int) -> datasets.Dataset:
    """Tokenised. The main process asks the masked language model; others read what it proposed.

    Raises `ConfigError` and `DataError` when the masked language model is none, `DataError` when
    words are to be masked and the tokenizer has no mask, or more texts cannot be read.
    """
    recipe, rewrites = job.recipe, list(_rewrites(job, position))
    if not rewrites:
        return job.data(position).train

    def rewrite(rows: datasets.Dataset, columns: tuple[str, ...]) -> datasets.Dataset:
        return reduce(lambda found, change: change(found, columns), rewrites, rows)

    read = partial(
        load_data,
        recipe.data,
        task=recipe.model.task,
        processor=job.processor(position),
        seed=recipe.seed,
        rewrite=rewrite,
    )
    return (main_first(job.state, read) or read()).train


def _rewrites(job: Job, position: int) -> Iterator[Rewrite]:
    """More texts first: they are copied, too."""
    recipe, stage = job.recipe, job.recipe.stages[position]
    if stage.unlabelled is not None:
        yield partial(with_unlabelled, more=stage.unlabelled, data=recipe.data, seed=recipe.seed)
    if stage.augment is not None:
        yield _words_that_fit(job, stage.augment, f"stages.{position}.augment.masked_lm")
    elif stage.replace_tokens is not None:
        yield _other_tokens(job, stage.replace_tokens, job.processor(position))


def _words_that_fit(job: Job, config: AugmentConfig, where: str) -> Rewrite:
    words = word_model(config, where)
    words.masked_lm.to(job.state.device)
    cache = Path(config.cache or job.workspace.out / PARTS / PROPOSALS)

    def with_copies(rows: datasets.Dataset, columns: tuple[str, ...]) -> datasets.Dataset:
        seed = job.recipe.seed
        return augment(rows, words, columns=columns, config=config, seed=seed, cache=cache)

    return with_copies


def _other_tokens(job: Job, config: ReplaceConfig, tokenizer: Any) -> Rewrite:
    mask = getattr(tokenizer, "mask_token", None)

    def with_copies(rows: datasets.Dataset, columns: tuple[str, ...]) -> datasets.Dataset:
        seed = job.recipe.seed
        return replace_tokens(rows, columns=columns, config=config, seed=seed, mask_token=mask)

    return with_copies
