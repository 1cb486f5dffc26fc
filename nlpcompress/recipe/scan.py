"""How far each axis of a finished model can be cut, by itself, before quality falls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import datasets
import torch
from torch import nn
from tqdm.auto import tqdm

from nlpcompress.axes import Axes, Axis, find_axes
from nlpcompress.core.edits import Keep
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.evaluation.evaluate import Batch, Predict, answers_of, torch_predictor
from nlpcompress.methods.pruning.ranking import keep_best
from nlpcompress.models.examples import example_inputs
from nlpcompress.recipe.job import Job
from nlpcompress.recipe.measuring import metrics_of
from nlpcompress.scoring import taylor_scores
from nlpcompress.surgery.keep import kept_masks, zeroed
from nlpcompress.training.context import Batches

KINDS = ("heads", "kv_heads", "neurons", "channels", "groups")


@dataclass(frozen=True)
class Scan:
    """Quality of the whole model and of each cut: axis → share that stays → metric → value."""

    samples: int
    whole: dict[str, float]
    sizes: dict[str, int]
    cuts: dict[str, dict[float, dict[str, float]]]

    def to_json(self) -> dict[str, Any]:
        """Plain values; shares are written as text, for they are keys."""
        axes = {
            name: {"size": self.sizes[name], "keep": {f"{s:g}": v for s, v in found.items()}}
            for name, found in self.cuts.items()
        }
        return {"samples": self.samples, "whole": self.whole, "axes": axes}


@torch.no_grad()
def scan(job: Job, model: nn.Module, *, shares: Sequence[float], samples: int) -> Scan:
    """The recipe's metrics on training rows, with one axis cut at a time and nothing trained.

    Of each free axis of heads, neurons or channels the positions of the least Taylor scores
    (Molchanov et al. 2017, |∂L/∂z · z| on the same rows) are set to zero, which computes what the
    cut model would. Rows are the first `samples` of the training set, so that the test set stays
    unseen. Raises `ConfigError` for a share outside (0, 1) and `PlanError` where nothing is free.
    """
    wrong = [share for share in shares if not 0 < share < 1]
    if wrong or not shares:
        raise ConfigError(f"keep: shares of an axis between 0 and 1, such as 0.5, got {wrong}")
    axes = find_axes(model, example_inputs(model))
    chosen = [axis for axis in axes if axis.kind in KINDS and axis.frozen is None and axis.taps]
    if not chosen:
        raise PlanError(f"this model has no free axis of {', '.join(KINDS)} to scan")
    data = job.data(job.last)
    rows = data.train.select(range(min(samples, len(data.train))))
    quality = partial(metrics_of, job, rows=rows, collate=data.collate)
    cuts: dict[str, dict[float, dict[str, float]]] = {axis.name: {} for axis in chosen}
    with tqdm(total=len(chosen) * len(shares), desc="Scanning", disable=None, leave=False) as bar:
        for edit, share in _edits(_scored(job, model, chosen, rows), chosen, shares):
            cuts[edit.axis][share] = quality(_without(model, axes, edit))
            bar.update()
    sizes = {axis.name: axis.size for axis in chosen}
    return Scan(len(rows), quality(torch_predictor(model)), sizes, cuts)


def _scored(
    job: Job, model: nn.Module, axes: Sequence[Axis], rows: datasets.Dataset
) -> dict[str, list[float]]:
    size = job.recipe.evaluate.batch_size
    batches = Batches(rows, job.data(job.last).collate, size=size, seed=job.recipe.seed)
    with torch.enable_grad():
        scores = taylor_scores(model, axes, batches())
    return {name: values.tolist() for name, values in scores.items()}


def _edits(
    scores: dict[str, list[float]], axes: Sequence[Axis], shares: Sequence[float]
) -> Iterator[tuple[Keep, float]]:
    for axis in axes:
        for share in shares:
            kept = keep_best({axis.name: scores[axis.name]}, keep=share)
            yield Keep(axis=axis.name, indices=tuple(kept[axis.name])), share


def _without(model: nn.Module, axes: Axes, edit: Keep) -> Predict:
    forward = zeroed(model, kept_masks(model, axes, [edit]))

    def predict(batch: Batch) -> Any:
        return answers_of(forward(batch))

    return predict
