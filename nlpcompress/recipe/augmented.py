"""The rows a stage trains on: the recipe's, and after them their copies where it asks for such."""

from functools import partial
from pathlib import Path

import datasets

from nlpcompress.data.augmentation.augment import augment
from nlpcompress.data.load import load_data
from nlpcompress.recipe.job import Job
from nlpcompress.recipe.launch import main_first
from nlpcompress.recipe.source import word_model
from nlpcompress.recipe.workspace import PARTS

PROPOSALS = "proposals"


def training_rows(job: Job, position: int) -> datasets.Dataset:
    """Tokenised. The main process asks the masked language model; others read what it proposed.

    Raises `ConfigError` and `DataError` when the masked language model is none.
    """
    recipe, config = job.recipe, job.recipe.stages[position].augment
    if config is None:
        return job.data.train
    words = word_model(config, f"stages.{position}.augment.masked_lm")
    words.masked_lm.to(job.state.device)

    def with_copies(rows: datasets.Dataset, columns: tuple[str, ...]) -> datasets.Dataset:
        cache = Path(config.cache or job.workspace.out / PARTS / PROPOSALS)
        return augment(rows, words, columns=columns, config=config, seed=recipe.seed, cache=cache)

    read = partial(
        load_data,
        recipe.data,
        task=recipe.model.task,
        processor=job.processor,
        seed=recipe.seed,
        rewrite=with_copies,
    )
    return (main_first(job.state, read) or read()).train
