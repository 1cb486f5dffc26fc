"""What 8 bits with ranges seen beforehand cost and save: a scale for each channel, or a weight.

    python scripts/reproduce_picture_int8.py --models out/channels/whole_*

Each model is a trained classifier of pictures. Its float file and its two 8-bit files answer the
whole test set in ONNX Runtime, and take turns on batches of the test set. Printed: accuracy, mean
and standard deviation over the models; how many points lie between floats and 8 bits; bytes of the
files, and how many times faster than floats they run, median and ends over the models. Source of
the shape to expect: Krishnamoorthi 2018, tables 2 and 3 (a scale a weight costs networks with
depthwise layers most of their accuracy, a scale a channel little).
"""

import argparse
import os
import statistics
import tempfile
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import onnxruntime
from cells import spread

from nlpcompress.bench.latency import measure_latency
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.task_data import TaskData
from nlpcompress.evaluation.evaluate import evaluate
from nlpcompress.export import OnnxModel, StaticInt8, export_onnx, quantize_static
from nlpcompress.models.load import load_model
from nlpcompress.training.context import Batches

TASK = "image-classification"
FLOAT = "float"
WAYS = {"a scale a channel": StaticInt8(), "a scale a weight": StaticInt8(per_channel=False)}
CALIBRATION = 32


class Measured(NamedTuple):
    """One file: the share of right answers, bytes, and milliseconds for each size of batch."""

    accuracy: float
    size: int
    milliseconds: list[float]


def main() -> None:
    arguments = parse_arguments()
    found = [measured(folder, arguments) for folder in arguments.models]
    how = f"{arguments.rounds} rounds, {arguments.threads} thread(s)"
    print(f"{len(found)} models, {how}, onnxruntime {onnxruntime.__version__}\n")
    print(table(found, arguments.batch_sizes))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--calibration", type=int, default=512, help="training pictures seen")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def measured(folder: Path, arguments: argparse.Namespace) -> dict[str, Measured]:
    """Name of each file → what was measured of it."""
    data = load_data(DataConfig(name=arguments.data), task=TASK, processor=None)
    with tempfile.TemporaryDirectory() as place:
        paths = files(folder, data, Path(place), arguments.calibration)
        models = {name: OnnxModel(path, threads=arguments.threads) for name, path in paths.items()}
        accuracies = {
            name: evaluate(model, data.test, data.collate, metrics=["accuracy"])["accuracy"]
            for name, model in models.items()
        }
        times: dict[str, list[float]] = {name: [] for name in models}
        for size in arguments.batch_sizes:
            batch = pictures(data, size)
            timed = measure_latency(models, batch, warmup=10, rounds=arguments.rounds)
            for name, timing in timed.items():
                times[name].append(timing.median)
        return {
            name: Measured(accuracies[name], path.stat().st_size, times[name])
            for name, path in paths.items()
        }


def files(folder: Path, data: TaskData, place: Path, count: int) -> dict[str, Path]:
    """The float file, and one in 8 bits for each way."""
    model = load_model(str(folder), task=TASK).eval()
    plain = export_onnx(model, place / "float.onnx", pictures(data, 2))
    rows = data.train.select(range(count))
    batches = list(Batches(rows, data.collate, size=CALIBRATION, seed=0)())
    return {FLOAT: plain} | {
        name: quantize_static(plain, place / f"{number}.onnx", batches, config=config)
        for number, (name, config) in enumerate(WAYS.items())
    }


def pictures(data: TaskData, size: int) -> dict[str, Any]:
    batch = data.collate([data.test[i] for i in range(size)])
    return {name: values for name, values in batch.items() if name != "labels"}


def table(found: list[dict[str, Measured]], sizes: list[int]) -> str:
    titles = ["file", "accuracy", "points lost", "KB", *(f"times faster, batch {n}" for n in sizes)]
    lines = [f"| {' | '.join(titles)} |", f"|---|{'---:|' * (len(titles) - 1)}"]
    for name in (FLOAT, *WAYS):
        own = [(models[name], models[FLOAT]) for models in found]
        lost = [100 * (plain.accuracy - small.accuracy) for small, plain in own]
        cells = [
            spread([small.accuracy for small, _ in own]),
            f"{statistics.mean(lost):.2f} ({min(lost):.2f} to {max(lost):.2f})",
            f"{statistics.median(small.size for small, _ in own) / 1e3:.0f}",
            *(faster(own, place) for place in range(len(sizes))),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def faster(own: list[tuple[Measured, Measured]], place: int) -> str:
    """Than floats: the median of the models, and their ends."""
    ratios = sorted(plain.milliseconds[place] / small.milliseconds[place] for small, plain in own)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
