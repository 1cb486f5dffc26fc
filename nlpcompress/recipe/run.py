"""A whole recipe: stages, model, export, measurements, report. Killed, it goes on."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState

from nlpcompress.bench import Report, read_report
from nlpcompress.data.unlabelled import check_alike
from nlpcompress.recipe.arguments import check_arguments
from nlpcompress.recipe.artefacts import check_row
from nlpcompress.recipe.finish import finish, finished
from nlpcompress.recipe.frozen import check_frozen
from nlpcompress.recipe.job import Job, duration
from nlpcompress.recipe.launch import agreed, join, main_first
from nlpcompress.recipe.runtimes import check_tools
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.run import run_search
from nlpcompress.recipe.source import check_lengths, check_teacher_tokenizer, check_word_model
from nlpcompress.recipe.stage import run_stage, run_start
from nlpcompress.recipe.workspace import PARTS, Workspace

logger = logging.getLogger(__name__)


def run_recipe(recipe: Recipe, out: str | Path | None = None) -> Report:
    """Run what of the recipe is not done yet, and give the report. The model lies in `out`.

    Under `accelerate launch` or `torchrun` all processes call this and train together; the main one
    alone decides, cuts and writes. Raises `ConfigError` and `DataError` before any work,
    `LaunchError` when processes do not know of each other, `VerificationError` and `ParityError`
    when a result is not what it should be.
    """
    state = join()
    if out is not None:
        recipe = recipe.model_copy(update={"out": str(out)})
    assert recipe.out is not None, "an unresolved recipe; use load_recipe"
    if recipe.search is not None:
        return run_search(recipe, Path(recipe.out), run_recipe)
    job = Job(recipe, Workspace(Path(recipe.out)), state)
    with _held(job.workspace, state):
        if agreed(state, finished(job)):
            logger.info("%s: done before", recipe.name)
        else:
            _run(job)
    return read_report(job.workspace.out)


@contextmanager
def _held(workspace: Workspace, state: PartialState) -> Iterator[None]:
    """The main process holds the folder while all work."""
    if not state.is_main_process:
        state.wait_for_everyone()
        yield
        return
    with workspace.opened():
        state.wait_for_everyone()
        yield


def _run(job: Job) -> None:
    begin = time.perf_counter()
    _preflight(job)
    run_start(job)
    for position in range(job.last):
        run_stage(job, position)
    main_first(job.state, lambda: finish(job))
    logger.info("%s: done in %s", job.recipe.name, duration(time.perf_counter() - begin))


def _preflight(job: Job) -> None:
    """What can go wrong without a weight being read goes wrong here."""
    check_lengths(job.recipe)
    check_arguments(job.recipe, job.workspace.out / PARTS)
    check_tools(job.recipe.export)
    if job.recipe.evaluate.row is not None:
        check_row(job.recipe.evaluate.row, job.recipe.export, where="evaluate.row")
    check_frozen(job.recipe, labels=job.data(0).labels)
    for position, stage in enumerate(job.recipe.stages):
        if stage.unlabelled is not None:
            check_alike(stage.unlabelled, job.recipe.data)
        check_word_model(stage.augment, where=f"stages.{position}.augment.masked_lm")
        for teacher in stage.teacher or ():
            check_teacher_tokenizer(
                teacher,
                job.processor(0),
                task=job.recipe.model.task,
                where=f"stages.{position}.teacher",
            )
    data, world = job.data(0), job.state.num_processes
    logger.info(
        "%s: %d training and %d test rows, labels %s; %d process%s on %s",
        job.recipe.data.name,
        len(data.train),
        len(data.test),
        ", ".join(data.labels),
        world,
        "" if world == 1 else "es",
        job.state.device.type,
    )
