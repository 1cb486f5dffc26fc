"""Numbers of finished models, each from the very file that its row names."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import datasets
import torch
from torch import Tensor
from tqdm.auto import tqdm

from nlpcompress.bench.latency import Timing, measure_latency, shape_name
from nlpcompress.data.task_data import Collate
from nlpcompress.evaluation.evaluate import Predict, evaluate
from nlpcompress.evaluation.heads import Answers
from nlpcompress.recipe.artefacts import Artefact
from nlpcompress.recipe.batches import bench_batches
from nlpcompress.recipe.job import Job

logger = logging.getLogger(__name__)
THREADS = 1
"""That a model is timed with, whatever runs it."""


def quality(job: Job, artefact: Artefact) -> dict[str, float]:
    """The recipe's metrics of one artefact on the whole test set."""
    data = job.data(artefact.after)
    with _counted(artefact.load(), len(data.test), artefact.name) as predict:
        metrics = metrics_of(job, predict, data.test, data.collate)
    shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    logger.info("%s: %s on %d rows", artefact.name, shown, len(data.test))
    return metrics


def metrics_of(
    job: Job, predict: Predict, rows: datasets.Dataset, collate: Collate
) -> dict[str, float]:
    """The recipe's metrics of a prediction on some rows."""
    settings = job.recipe.evaluate
    values = evaluate(
        predict, rows, collate, metrics=settings.metrics, batch_size=settings.batch_size
    )
    return {name: values[name] for name in settings.metrics}


def latencies(job: Job, rows: Sequence[Artefact]) -> dict[str, dict[str, Timing]]:
    """Row → shape → times, on `THREADS`. All rows take turns: a busy machine is unfair to none.

    Batches are the result's: its tokens have ids that every model before it has, too.
    """
    predictors = {row.name: row.load() for row in rows}
    found: dict[str, dict[str, Timing]] = {row.name: {} for row in rows}
    for batch in bench_batches(job.data(job.last), job.recipe.bench):
        shape = shape_name(batch)
        with _threads_of_torch(THREADS):
            timed = measure_latency(predictors, batch, rounds=job.recipe.bench.rounds)
        for name, timing in timed.items():
            found[name][shape] = timing
        medians = ", ".join(f"{name} {times[shape].median:.1f}" for name, times in found.items())
        logger.info("ms at %s: %s", shape, medians)
    return found


@contextmanager
def _threads_of_torch(count: int) -> Iterator[None]:
    """So many for one operation; other runtimes have theirs from the start."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _counted(predict: Predict, rows: int, name: str) -> Iterator[Predict]:
    """The same function with a progress bar over the rows, where there is a terminal to see it."""
    with tqdm(total=rows, desc=f"Measuring {name}", disable=None, leave=False) as bar:

        def counting(batch: dict[str, Tensor]) -> Answers:
            result = predict(batch)
            bar.update(len(next(iter(batch.values()))))
            return result

        yield counting
