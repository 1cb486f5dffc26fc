"""Recipes of the experiments on pictures: a trained network a seed, and what is made of it."""

import argparse
from pathlib import Path
from typing import Any

from cells import parser_of

from nlpcompress import run_recipe
from nlpcompress.recipe.load import parse_recipe

Stages = list[dict[str, Any]]
TASK = "image-classification"
MODELS: dict[str, dict[str, Any]] = {
    "resnet": {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": 16,
        "hidden_sizes": [32, 64, 128],
        "depths": [1, 1, 1],
        "layer_type": "basic",
    },
    "resnet18": {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": 64,
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    },
    "mobilenet_v2": {
        "model_type": "mobilenet_v2",
        "num_channels": 1,
        "depth_multiplier": 0.35,
        "image_size": 28,
        "finegrained_output": False,
    },
}


def picture_parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """With the options that all these experiments have."""
    parser = parser_of(description, out)
    parser.add_argument("--model", default="resnet", choices=MODELS)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--teacher-epochs", type=float, default=3.0)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--train-samples", type=int, default=None)
    parser.add_argument("--channels-last", action="store_true", help="in memory, in trainings")
    return parser


def trained(seed: int, arguments: argparse.Namespace, *, penalty: float = 0.0) -> Path:
    """The seed's network, from random weights; trained once.

    With a `penalty` on the scales of its batch norms (Network Slimming), and whole.
    """
    stage: dict[str, Any] = {"method": "fine_tune"}
    if penalty:
        config = {"criterion": "batch_norm", "penalty": penalty, "keep": 1.0}
        stage = {"method": "channels", "config": config}
    stage |= train(arguments.teacher_epochs, arguments.learning_rate, arguments)
    model = {"id": "random", "task": TASK, "config": MODELS[arguments.model]}
    name = f"{'sparse' if penalty else 'whole'}_{seed}"
    folder: Path = arguments.out / name
    run_recipe(parse_recipe(whole(name, seed, model, [stage], arguments)), folder)
    return folder


def train(epochs: float, learning_rate: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """A stage's training: the rate falls to zero along a cosine, after a short warm-up."""
    return {
        "channels_last": arguments.channels_last,
        "train": {
            "num_train_epochs": epochs,
            "learning_rate": learning_rate,
            "weight_decay": 1e-2,
            "warmup_steps": 100,
            "lr_scheduler_type": "cosine",
            "per_device_train_batch_size": arguments.batch,
            "bf16": arguments.bf16,
        },
    }


def whole(
    name: str, seed: int, model: dict[str, Any], stages: Stages, arguments: argparse.Namespace
) -> dict[str, Any]:
    """A recipe whose result is timed in ONNX Runtime."""
    return {
        "version": 1,
        "name": name,
        "seed": seed,
        "model": model,
        "data": {"name": arguments.data, "train_samples": arguments.train_samples},
        "stages": stages,
        "export": {"onnx": True},
        "bench": {"batch_sizes": [8], "rounds": 20},
    }
