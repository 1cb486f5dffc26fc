"""`nlpcompress axes`: what of a model can be cut, and why the rest cannot."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import transformers
from transformers import PreTrainedModel

from nlpcompress.axes import Axes, find_axes
from nlpcompress.io.load import load_model_folder
from nlpcompress.models.examples import example_inputs
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.schema import ModelConfig
from nlpcompress.recipe.shipped import find_recipe, is_recipe
from nlpcompress.recipe.source import skeleton


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`axes MODEL [--task TASK] [--kind KIND]`"""
    parser.add_argument(
        "model", help="a result folder, a model folder, a hub id, or the recipe that names one"
    )
    parser.add_argument("--task", default="feature-extraction", help="see `nlpcompress ls tasks`")
    parser.add_argument("--kind", help="only these: heads, neurons, channels, width, …")


def main(args: argparse.Namespace) -> int:
    """Print a line an axis: name, size, tensors, and `free` or the reason why it is frozen."""
    model = _model(args.model, args.task)
    axes = find_axes(model, example_inputs(model))
    for line in _lines(axes, args.kind):
        print(line)
    return 0


def _model(name: str, task: str) -> PreTrainedModel:
    """Of a folder the model itself; else the same shapes with random weights."""
    if (Path(name) / "config.json").is_file():
        return load_model_folder(name)
    if is_recipe(name):
        config = load_recipe(find_recipe(name)).model
        return skeleton(config, labels=("a", "b"))
    return skeleton(ModelConfig(id=name, task=task), labels=("a", "b"))


def _lines(axes: Axes, kind: str | None) -> Iterator[str]:
    shown = [axis for axis in axes if kind in (None, axis.kind)]
    width = max((len(axis.name) for axis in shown), default=0)
    for axis in shown:
        state = "free" if axis.frozen is None else f"frozen: {axis.frozen}"
        yield f"{axis.name:<{width}}  {axis.size:>7}  {len(axis.slices):>3} tensors  {state}"
    free = sum(axis.frozen is None for axis in shown)
    yield f"{len(shown)} axes, {free} free (transformers {transformers.__version__})"
    if axes.unknown_ops:
        ops = ", ".join(f"{name} ({count})" for name, count in sorted(axes.unknown_ops.items()))
        yield f"operations without a rule, whose axes are frozen: {ops}"
