"""One stage: train if it says so, decide, cut, save. Killed, it goes on to the same weights."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from nlpcompress.bench.ledger import parameter_count
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.io.save import save_model
from nlpcompress.io.storage import round_to_int8
from nlpcompress.methods.table import make_method
from nlpcompress.models.albert import as_albert, check_said
from nlpcompress.models.examples import example_inputs
from nlpcompress.models.tokenizers import fit_tokenizer
from nlpcompress.recipe.arguments import training_arguments
from nlpcompress.recipe.augmented import training_rows
from nlpcompress.recipe.frozen import frozen
from nlpcompress.recipe.job import Job, duration
from nlpcompress.recipe.launch import agreed, main_first
from nlpcompress.recipe.roles import cuts
from nlpcompress.recipe.schema import StageConfig
from nlpcompress.recipe.source import named_teacher, start_model
from nlpcompress.surgery.apply import apply_plan
from nlpcompress.training import CompressionTrainer
from nlpcompress.training.channels_last import channels_last
from nlpcompress.training.context import Batches
from nlpcompress.training.dropout import other_dropout
from nlpcompress.training.teacher_answers import TeacherData

logger = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
SCORING_BATCH = 32


def run_start(job: Job) -> None:
    """Save the model the recipe starts from, so that every later part reads a folder."""
    if not is_done(job, 0):
        main_first(job.state, lambda: _save_start(job))


def is_done(job: Job, after: int) -> bool:
    """Whether the model after `after` stages lies in its part; one answer for all processes."""
    return agreed(job.state, job.part(after).record is not None)


def _save_start(job: Job) -> None:
    model = start_model(job.recipe.model, labels=job.data(0).labels, seed=job.recipe.seed)
    _save(job, model, job.processor(0), Plan(), after=0)
    job.part(0).finish({"plan": [], "parameters": parameter_count(model)})


def run_stage(job: Job, position: int) -> None:
    """Make the model after stage `position` from the one before, unless it lies there already."""
    stage = job.recipe.stages[position]
    title = f"stage {position + 1}/{job.last} {stage.method}"
    if is_done(job, position + 1):
        logger.info("%s: done before (%s)", title, job.part(position + 1).folder.name)
        return
    logger.info("%s: starts", title)
    begin = time.perf_counter()
    model = job.model(position)
    method = make_method(stage.method, stage.config, where=f"stages.{position}.config")
    methods = [method, *_others(stage, position)]
    log = _train(job, model, methods, position) if stage.train is not None else []
    main_first(job.state, lambda: _finish(job, model, method, position, begin=begin, log=log))
    logger.info("%s: done in %s", title, duration(time.perf_counter() - begin))


def _others(stage: StageConfig, position: int) -> Iterator[Method]:
    for number, other in enumerate(stage.also):
        where = f"stages.{position}.also.{number}.config"
        yield make_method(other.method, other.config, where=where)


def _train(
    job: Job, model: PreTrainedModel, methods: Sequence[Method], position: int
) -> list[dict[str, Any]]:
    """Train in place, from the last whole checkpoint on. Gives the losses the trainer logged."""
    checkpoints = job.part(position + 1).folder / CHECKPOINTS
    stage, teacher = job.recipe.stages[position], teacher_of(job, methods, position)
    trainer = CompressionTrainer(
        model=model,
        args=training_arguments(job.recipe, position, checkpoints),
        train_dataset=training_rows(job, position),
        data_collator=job.data(position).train_collate,
        methods=methods,
        teacher=teacher,
        teacher_cache=job.answers(position),
        teacher_data=_teacher_data(job, methods, position),
        score_cache=job.scores(position),
        together=job.data(position).together,
    )
    resumed = agreed(job.state, trainer.last_checkpoint())
    if resumed:
        logger.info("goes on from %s", Path(resumed).relative_to(checkpoints))
    with _changed(stage, model, teacher):
        trainer.train(resume_from_checkpoint=resumed)
    return trainer.state.log_history


@contextmanager
def _changed(stage: StageConfig, model: nn.Module, teacher: nn.Module | None) -> Iterator[None]:
    """What a stage says of its models for as long as they train."""
    with ExitStack() as stack:
        stack.enter_context(frozen(model, stage.freeze))
        if stage.dropout is not None:
            stack.enter_context(other_dropout(model, stage.dropout))
        if stage.channels_last:
            stack.enter_context(channels_last([m for m in (model, teacher) if m is not None]))
        yield


def teacher_of(job: Job, methods: Sequence[Method], position: int) -> nn.Module | None:
    """The model or models the stage names, else the one before the first cut."""
    stage = job.recipe.stages[position]
    if not any(method.needs_teacher for method in methods):
        return None
    if stage.teacher:
        return named_teacher(
            stage.teacher,
            task=job.recipe.model.task,
            labels=job.data(0).labels,
            where=f"stages.{position}.teacher",
        )
    assert job.teacher_after is not None, "a recipe without a teacher passed its checks"
    return job.model(job.teacher_after)


def _teacher_data(job: Job, methods: Sequence[Method], position: int) -> TeacherData | None:
    """The rows as a teacher reads them that has other tokens than the student: the start's."""
    learning = any(method.needs_teacher for method in methods)
    if not learning or job.data(position) is job.data(0):
        return None
    return job.data(0).train, job.data(0).collate


def _finish(
    job: Job,
    model: PreTrainedModel,
    method: Method,
    position: int,
    *,
    begin: float,
    log: list[dict[str, Any]],
) -> None:
    """Decide, cut, save; then the marker, then the checkpoints go. Main process only."""
    plan = _cut(job, model, method, position)
    _check_albert(job, model, position)
    earlier = job.part(position).record
    assert earlier is not None, "a stage ran before the one in front of it"
    whole = plan_from_json(earlier["plan"]) + plan
    if job.is_packed(position + 1) and job.recipe.storage == "bitmask-int8":
        round_to_int8(model)
    processor = fit_tokenizer(job.processor(position), plan)
    _save(job, model, processor, whole, after=position + 1)
    part = job.part(position + 1)
    part.finish(
        {
            "method": method.name,
            "plan": whole.to_json(),
            "edits": len(plan),
            "seconds": round(time.perf_counter() - begin, 3),
            "parameters": parameter_count(model),
            "log": log,
        }
    )
    shutil.rmtree(part.folder / CHECKPOINTS, ignore_errors=True)


def _cut(job: Job, model: PreTrainedModel, method: Method, position: int) -> Plan:
    """Score on this machine's accelerator, cut on the CPU."""
    model.to(job.state.device).eval()
    torch.manual_seed(job.recipe.seed)
    plan = method.plan(model, scoring_context(job, model, position))
    model.cpu()
    if len(plan):
        apply_plan(model, plan, example_inputs(model))
    return plan


def _check_albert(job: Job, model: PreTrainedModel, position: int) -> None:
    """Before the trainings that follow the last cut, not after them. Raises `PlanError`."""
    later = [stage.method for stage in job.recipe.stages[position + 1 :]]
    if job.recipe.save_as == "albert" and not any(map(cuts, later)):
        check_said(model)


def scoring_context(job: Job, model: PreTrainedModel, position: int) -> Context:
    """What a method may look at: shuffled training batches in an order that the seed fixes."""
    data, seed = job.data(position), job.recipe.seed
    batches = Batches(data.train, data.collate, size=SCORING_BATCH, seed=seed)
    processor = job.processor(position)
    return Context(
        example_inputs(model),
        batches,
        None,
        seed,
        cache=job.scores(position),
        processor=processor,
    )


def _save(job: Job, model: PreTrainedModel, processor: Any, plan: Plan, *, after: int) -> None:
    stages: tuple[StageConfig, ...] = job.recipe.stages[:after]
    lineage = {
        "base": job.recipe.model.id,
        "recipe": job.recipe.name,
        "seed": job.recipe.seed,
        "stages": [stage.to_json() for stage in stages],
    }
    save_model(
        as_albert(model) if job.is_albert(after) else model,
        job.model_folder(after),
        processor=processor,
        plan=plan,
        lineage=lineage,
        storage=job.recipe.storage if job.is_packed(after) else "dense",
    )
