"""Sizes and times of ONNX text models, taking turns on one thread; ratios are to the first file.

python scripts/bench_quickstart.py teacher/model.onnx onnx/model.onnx onnx/model_int8.onnx
"""

import argparse
from pathlib import Path

import torch

from nlpcompress.bench import measure_latency
from nlpcompress.bench.environment import environment
from nlpcompress.export import OnnxModel


def main() -> None:
    args = _arguments()
    models = {str(path): OnnxModel(path) for path in args.files}
    names = {name for model in models.values() for name in model.inputs}
    times = measure_latency(models, _batch(args.batch, args.length, names), rounds=args.rounds)
    first, *_ = args.files
    print(f"batch {args.batch} x {args.length}, {args.rounds} rounds, one thread, milliseconds")
    for path in args.files:
        size, time = path.stat().st_size, times[str(path)]
        print(
            f"{path}: {size / 1e6:.2f} MB ({first.stat().st_size / size:.2f} times smaller), "
            f"median {time.median:.2f}, p5 {time.p5:.2f}, p95 {time.p95:.2f} "
            f"({times[str(first)].median / time.median:.2f} times faster)"
        )
    print(", ".join(f"{name} {value}" for name, value in environment().items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="ONNX files, the reference first")
    parser.add_argument("--batch", type=int, default=8, help="examples (8)")
    parser.add_argument("--length", type=int, default=64, help="tokens (64)")
    parser.add_argument("--rounds", type=int, default=50, help="timed rounds (50)")
    return parser.parse_args()


def _batch(rows: int, length: int, names: set[str]) -> dict[str, torch.Tensor]:
    """Random ids with a full mask, `(rows, length)`; of these, the inputs that a file takes."""
    generator = torch.Generator().manual_seed(0)
    values = {
        "input_ids": torch.randint(1000, 20000, (rows, length), generator=generator),
        "attention_mask": torch.ones(rows, length, dtype=torch.long),
        "token_type_ids": torch.zeros(rows, length, dtype=torch.long),
    }
    return {name: value for name, value in values.items() if name in names}


if __name__ == "__main__":
    main()
