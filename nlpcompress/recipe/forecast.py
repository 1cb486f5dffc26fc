"""A dry run: what each stage will do and how large the model is after it, on random weights."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from nlpcompress.bench.cost import measure
from nlpcompress.core.edits import (
    CpConv,
    Edit,
    FactorEmbedding,
    FoldNorms,
    Keep,
    KeepLayers,
    KeepOperations,
    KeepVocabulary,
    LowRank,
    Permute,
    Quantize,
    ShareLayers,
    SvdConv,
    TuckerConv,
)
from nlpcompress.core.method import Context, Method, Progress
from nlpcompress.core.plan import Plan
from nlpcompress.data.task_data import TaskData
from nlpcompress.methods.table import make_method
from nlpcompress.models.albert import as_albert
from nlpcompress.models.examples import example_inputs
from nlpcompress.models.tokenizers import fit_tokenizer
from nlpcompress.recipe.roles import renumbers
from nlpcompress.recipe.schema import Recipe, StageConfig
from nlpcompress.recipe.source import recipe_data, skeleton, start_processor
from nlpcompress.surgery.apply import apply_plan
from nlpcompress.training.context import Batches

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
    data = recipe_data(recipe, processor)
    transformers.set_seed(recipe.seed)
    model = skeleton(recipe.model, labels=data.labels)
    rows = f"{len(data.train)} training rows, {len(data.test)} test rows, {len(data.labels)} labels"
    found = [Forecast("start", (recipe.model.id, rows), _cost(model))]
    for position, stage in enumerate(recipe.stages):
        plan = _cut(model, stage, data, processor, seed=recipe.seed)
        title = f"stage {position + 1} {stage.method}"
        found.append(Forecast(title, tuple(_actions(stage, plan, data)), _cost(model)))
        if renumbers(stage.method):
            processor = fit_tokenizer(processor, plan)
            data = recipe_data(recipe, processor)
    if recipe.save_as == "albert":
        found.append(Forecast("save_as albert", (), _cost(as_albert(model))))
    return found


def _cost(model: PreTrainedModel) -> Mapping[str, int]:
    return measure(model, example_inputs(model))


def _cut(
    model: PreTrainedModel, stage: StageConfig, data: TaskData, processor: Any, *, seed: int
) -> Plan:
    """Few examples stand for all, unless it is them that a method decides by."""
    count = len(data.train) if renumbers(stage.method) else min(EXAMPLES, len(data.train))
    batches = Batches(data.train.select(range(count)), data.collate, size=EXAMPLES, seed=seed)
    examples = example_inputs(model)
    torch.manual_seed(seed)
    method = make_method(stage.method, stage.config)
    ctx = Context(examples, batches, None, seed, sizes_only=True, processor=processor)
    if stage.train is not None:
        _close_gates(method, model, ctx)
    plan = method.plan(model, ctx)
    if len(plan):
        apply_plan(model, plan, examples)
    return plan


def _close_gates(method: Method, model: PreTrainedModel, ctx: Context) -> None:
    """As far as the schedule shuts them, whatever training would choose."""
    gates = method.prepare(model, ctx)
    if gates is not None:
        gates.advance(Progress(step=1, total=1, warmup=0))
        gates.close()


def _actions(stage: StageConfig, plan: Plan, data: TaskData) -> Iterator[str]:
    if stage.train is not None:
        yield f"trains on {len(data.train)} rows: " + _pairs(stage.train)
    if stage.unlabelled:
        yield "and on texts without labels: " + _pairs(stage.unlabelled.to_json())
    if stage.augment:
        yield "and on copies of them: " + _pairs(stage.augment.to_json())
    if stage.replace_tokens:
        yield "and on copies with other tokens: " + _pairs(stage.replace_tokens.to_json())
    if stage.config:
        yield _pairs(stage.config)
    if stage.teacher:
        yield f"learns from {', '.join(stage.teacher)}"
    for other in stage.also:
        yield f"beside it {other.method}: {_pairs(other.config) or 'by default'}"
    yield from (_cut_line(edit) for edit in islice(plan, 3))
    if len(plan) > 3:
        yield f"and {len(plan) - 3} more edits"


def _cut_line(edit: Edit) -> str:
    if isinstance(edit, Keep):
        return f"keep {edit.axis}: {len(edit.indices)} stay"
    if isinstance(edit, Permute):
        return f"permute {edit.axis}: {len(edit.order)} in another order"
    if isinstance(edit, KeepLayers):
        return f"keep_layers layers: {len(edit.layers)} stay"
    if isinstance(edit, KeepVocabulary):
        return f"keep_vocabulary tokens: {len(edit.tokens)} stay"
    if isinstance(edit, ShareLayers):
        part = "" if edit.part == "all" else f"the {edit.part} of "
        return f"share_layers: {part}layers {', '.join(map(str, edit.layers))}"
    if isinstance(edit, FactorEmbedding):
        return f"factor_embedding: {edit.size} numbers a token"
    if isinstance(edit, TuckerConv):
        return f"tucker_conv {edit.weight}: ranks {edit.ranks[0]} and {edit.ranks[1]}"
    if isinstance(edit, LowRank | SvdConv | CpConv):
        return f"{edit.op} {edit.weight}: rank {edit.rank}"
    if isinstance(edit, Quantize):
        return f"quantize {edit.weight}: {edit.bits} bits"
    if isinstance(edit, KeepOperations):
        left = sum(len(names) for names in (*edit.normal, *edit.reduction))
        return f"keep_operations: {left} stay in both kinds of cells"
    if isinstance(edit, FoldNorms):
        return "fold_norms: scales of batch norms go into filters"
    return "mask: zeros in the body's weights stay"


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)
