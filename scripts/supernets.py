"""A supernet a seed, for the experiments that search in one."""

import argparse
from pathlib import Path
from typing import Any

from movies import TASK, fine_tuned, movie_parser, run_whole, train, whole

QUARTERS = (0.25, 0.5, 0.75, 1.0)
LAYERS = 6


def supernet_parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """With the options of a supernet's training."""
    parser = movie_parser(description, out, steps=300)
    parser.add_argument("--supernet-steps", type=int, default=750)
    return parser


def supernet_of(seed: int, arguments: argparse.Namespace) -> Path:
    """The fine-tuned encoder in order, and trained so that its beginnings are good; made once."""
    learning = {
        "method": "supernet",
        "config": {"heads": list(QUARTERS), "neurons": list(QUARTERS), "round_to": 8},
        **train(arguments.supernet_steps, arguments.learning_rate, arguments),
    }
    model = {"id": str(fine_tuned(seed, arguments)), "task": TASK}
    stages = [{"method": "sort"}, learning]
    return run_whole(whole(f"supernet_{seed}", seed, model, stages, arguments), arguments)


def slice_stage(heads: tuple[float, ...], neurons: tuple[float, ...]) -> dict[str, Any]:
    """The network of these shares, layer by layer."""
    config = {"heads": list(heads), "neurons": list(neurons), "round_to": 8}
    return {"method": "slice", "config": config}
