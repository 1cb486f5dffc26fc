"""Tucker-2 of one filter bank beside tensorly's: seconds and errors, taking turns.

    pip install tensorly && OMP_WAIT_POLICY=PASSIVE python scripts/bench_tucker.py

Source of the shape to expect: errors within a hundredth of each other, at a tenth of the time.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import time
from collections.abc import Callable

import numpy as np
import tensorly
import torch
from tensorly.decomposition import partial_tucker
from torch import Tensor

from nlpcompress.models.tucker import tucker2

Way = Callable[[Tensor, int], Tensor]


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    tensorly.set_backend("pytorch")
    draw = torch.Generator().manual_seed(0)
    filters = torch.randn(arguments.channels, arguments.channels, 3, 3, generator=draw)
    ways: dict[str, Way] = {"ours": ours, "tensorly": theirs}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    errors = {}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            near = way(filters, arguments.rank)
            seconds[name].append(time.perf_counter() - begin)
            errors[name] = float((filters - near).norm() / filters.norm())
    print(
        f"{arguments.channels} × {arguments.channels} × 3 × 3 to rank {arguments.rank}, "
        f"{arguments.threads} thread(s), {arguments.rounds} rounds, torch {torch.__version__}, "
        f"tensorly {tensorly.__version__}"
    )
    for name, values in seconds.items():
        low, middle, high = np.percentile(values, [0, 50, 100])
        print(f"{name}: {middle:.2f} s ({low:.2f} to {high:.2f}), error {errors[name]:.4f}")
    print(f"times faster: {np.median(seconds['tensorly']) / np.median(seconds['ours']):.1f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def ours(filters: Tensor, rank: int) -> Tensor:
    last, core, first = (part.float() for part in tucker2(filters, (rank, rank)))
    return torch.einsum("oa,abhw,bi->oihw", last, core, first)


def theirs(filters: Tensor, rank: int) -> Tensor:
    (core, (last, first)), _ = partial_tucker(filters, rank=[rank, rank], modes=[0, 1], init="svd")
    return torch.einsum("oa,abhw,ib->oihw", last, core, first)


if __name__ == "__main__":
    main()
