"""A dry run: what each stage will do and how large the model is after it, on random weights."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from nlpcompress.bench.cost import measure
from nlpcompress.core.method import Context
from nlpcompress.core.plan import Plan
from nlpcompress.data.load import load_data
from nlpcompress.data.task_data import TaskData
from nlpcompress.methods.table import make_method
from nlpcompress.models.examples import example_inputs
from nlpcompress.recipe.schema import Recipe, StageConfig
from nlpcompress.recipe.source import skeleton, start_processor
from nlpcompress.surgery.apply import apply_plan

logger = logging.getLogger(__name__)
EXAMPLES = 8
"""Examples that stand for the training set: enough to call a method, too few to mean anything."""


@dataclass(frozen=True)
class Forecast:
    """What is known of a stage before it runs; `cost` is `bench.measure` of the model after it."""

    title: str
    actions: tuple[str, ...]
    cost: Mapping[str, int]


def forecast(recipe: Recipe) -> list[Forecast]:
    """The start and every stage of a recipe.

    No weight is read and nothing is trained: a model of the same config with random weights goes
    through the very cuts that the recipe asks for, scored on a few examples. Which heads go says
    nothing; how many does. Sizes are exact where all layers are alike. Raises what the recipe
    would raise for its model and its data.
    """
    processor = start_processor(recipe.model)
    data = load_data(recipe.data, task=recipe.model.task, processor=processor, seed=recipe.seed)
    transformers.set_seed(recipe.seed)
    model = skeleton(recipe.model, labels=data.labels)
    rows = f"{len(data.train)} training rows, {len(data.test)} test rows, {len(data.labels)} labels"
    found = [Forecast("start", (recipe.model.id, rows), _cost(model))]
    for position, stage in enumerate(recipe.stages):
        plan = _cut(model, stage, data, seed=recipe.seed)
        title = f"stage {position + 1} {stage.method}"
        found.append(Forecast(title, tuple(_actions(stage, plan, data)), _cost(model)))
    return found


def _cost(model: PreTrainedModel) -> Mapping[str, int]:
    return measure(model, example_inputs(model))


def _cut(model: PreTrainedModel, stage: StageConfig, data: TaskData, *, seed: int) -> Plan:
    batch = data.collate(list(data.train.select(range(min(EXAMPLES, len(data.train))))))

    def batches() -> Iterator[Mapping[str, Tensor]]:
        yield batch

    examples = example_inputs(model)
    torch.manual_seed(seed)
    method = make_method(stage.method, stage.config)
    plan = method.plan(model, Context(examples, batches, None, seed))
    if len(plan):
        apply_plan(model, plan, examples)
    return plan


def _actions(stage: StageConfig, plan: Plan, data: TaskData) -> Iterator[str]:
    if stage.train is not None:
        yield f"trains on {len(data.train)} rows: " + _pairs(stage.train)
    if stage.config:
        yield _pairs(stage.config)
    if stage.teacher is not None:
        yield f"learns from {stage.teacher}"
    edits = [edit.to_json() for edit in plan]
    for edit in islice(edits, 3):
        kept = len(edit.get("indices") or edit["layers"])
        yield f"{edit['op']} {edit.get('axis', 'layers')}: {kept} stay"
    if len(edits) > 3:
        yield f"and {len(edits) - 3} more cuts of this kind"


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)
