"""Ours against what users would pick instead: the same teacher, data, threads, and rounds in turn.

    OMP_WAIT_POLICY=PASSIVE python scripts/compare_peers.py --out out/peers --seeds 0 1 2
    python scripts/compare_peers.py --out out/peers --report

A cell is a seed: a fine-tuned encoder, what tools make of it in 8 bits, a cut to half its layers
that is fine-tuned plainly, and what our recipes make of it. Every artefact runs in a process of its
own with one thread, which loads it with its runtime alone; peers' environments are made on first
use from `scripts/peers/*.txt`, with the pins of `scripts/constraints`. Processes take turns, so
that a busy moment hits all alike, with two passes each, of which the second counts. Quality is of
the whole test set; sizes are of the files that a process reads; cold start is from the process's
start to its first answer; memory is the most that the process has taken.

Ours are made in this process, which needs `nlpcompress[openvino]`.
"""

import argparse
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
import yaml
from cells import Result, mean_and_deviation, run_cells, spread
from contenders import Contender, Process, in_turn, made
from movies import TASK, fine_tuned, movie_parser, run_whole, train, whole
from peers.serve import read_batches
from torch import Tensor

from nlpcompress.bench.latency import shape_name
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.task_data import TaskData
from nlpcompress.export import export_onnx, quantize_dynamic, quantize_nncf
from nlpcompress.io.load import load_model_folder
from nlpcompress.models.load import load_processor
from nlpcompress.recipe.batches import bench_batches
from nlpcompress.recipe.schema import BenchConfig
from nlpcompress.recipe.workspace import PARTS

SIZES, LENGTH = (1, 8, 32), 64
SHAPES = tuple(f"{size}x{LENGTH}" for size in SIZES)
BATCH, CALIBRATION = 32, 8
BOUNDS = (0.01, 0.003)
TEACHER, CUT = "teacher", "3 layers"
RECIPES = ("movies-fastest", "movies-smallest")
FLOATS = Contender("teacher, torch", "torch", "float", TEACHER)
INT8 = (
    Contender("teacher, torch dynamic int8", "torch", "dynamic-int8", TEACHER),
    Contender("teacher, torchao int8", "torch", "torchao-int8", TEACHER),
    Contender("teacher, ONNX Runtime dynamic int8", "onnxruntime", "dynamic-int8", TEACHER),
    Contender("teacher, ONNX Runtime static int8", "onnxruntime", "static-int8", TEACHER),
    Contender("teacher, OpenVINO int8", "openvino", "nncf-int8", TEACHER),
)
LAYERS = (
    Contender("3 layers, ONNX Runtime", "onnxruntime", "float", CUT),
    Contender("3 layers, OpenVINO", "openvino", "float", CUT),
)
BOTH = (
    Contender("3 layers, ONNX Runtime dynamic int8", "onnxruntime", "dynamic-int8", CUT),
    Contender("3 layers, OpenVINO int8", "openvino", "nncf-int8", CUT),
)
"""Two techniques at once: a cut of one tool's, in another's 8 bits."""
OURS = tuple(
    contender
    for recipe in RECIPES
    for contender in (
        Contender(f"{recipe}, ONNX Runtime int8", "onnxruntime", "ours", recipe),
        Contender(f"{recipe}, OpenVINO int8", "openvino", "ours", recipe),
    )
)
ALL = {
    contender.name: contender
    for contender in (
        FLOATS,
        Contender("teacher, ONNX Runtime", "onnxruntime", "float", TEACHER),
        Contender("teacher, OpenVINO", "openvino", "float", TEACHER),
        *INT8,
        *LAYERS,
        *BOTH,
        *OURS,
    )
}


class Cell(NamedTuple):
    """One seed."""

    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"peers_{self.seed}"


def main() -> None:
    arguments = parse_arguments()
    cells = [Cell(seed) for seed in arguments.seeds]
    print(table(run_cells(cells, partial(run, arguments=arguments), arguments)))


def parse_arguments() -> argparse.Namespace:
    parser = movie_parser(__doc__, "out/peers", steps=500)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--recipes", type=Path, default=Path("recipes/text"))
    return parser.parse_args()


def run(cell: Cell, arguments: argparse.Namespace) -> Result:
    works = {
        name: prepared(folder, arguments.out / f"work_{cell.seed}" / name, cell.seed, arguments)
        for name, folder in models(cell, arguments).items()
    }
    environments = arguments.out / "environments"
    artefacts = {
        name: (ours if contender in OURS else made)(contender, works[contender.model], environments)
        for name, contender in ALL.items()
    }
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                Process(contender, artefacts[name], works[contender.model], environments)
            )
            for name, contender in ALL.items()
        }
        times = in_turn(running, SHAPES, rounds=arguments.rounds)
        rows = {
            name: {
                "accuracy": accuracy(process, artefacts[name], works[ALL[name].model]),
                "bytes": size_of(artefacts[name]),
                "cold_seconds": process.cold_seconds,
                "ms": times[name],
                "memory": process.ask(memory=True)["bytes"],
            }
            for name, process in running.items()
        }
    return {**cell._asdict(), "accuracy": rows[FLOATS.name]["accuracy"], "rows": rows}


def models(cell: Cell, arguments: argparse.Namespace) -> dict[str, Path]:
    """The teacher, its plain cut, and our recipes' results, which all start from that teacher."""
    teacher = fine_tuned(cell.seed, arguments)
    model = {"id": str(teacher), "task": TASK}
    layers = {"method": "keep_layers", "config": {"layers": "every_other", "count": 3}}
    tuned = {"method": "fine_tune", **train(arguments.steps, 5e-5, arguments)}
    cut = whole(f"cut_{cell.seed}", cell.seed, model, [layers, tuned], arguments)
    found = {TEACHER: teacher, CUT: run_whole(cut, arguments)}
    for name in RECIPES:
        values = yaml.safe_load((arguments.recipes / f"{name}.yaml").read_text())
        stages = [stage for stage in values["stages"] if stage["method"] != "fine_tune"]
        for stage in (stage for stage in stages if stage.get("cache_teacher")):
            stage["cache_teacher"] = str(arguments.out / f"answers_{cell.seed}")
            stage["train"]["bf16"] = arguments.bf16
        job = whole(f"{name}_{cell.seed}", cell.seed, model, stages, arguments)
        share_stages([found[own] for own in RECIPES if own in found], arguments.out / job["name"])
        found[name] = run_whole(job, arguments)
    return found


def share_stages(results: Iterable[Path], folder: Path) -> None:
    """What a new recipe has in common with those before it is not done again."""
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.part")
        beside.mkdir(exist_ok=True)
        for result in results:
            copytree(result / PARTS, beside / PARTS, dirs_exist_ok=True)
        beside.rename(folder)


def prepared(model: Path, work: Path, seed: int, arguments: argparse.Namespace) -> Path:
    """A working folder: the model as it is, as plain ONNX, and batches of its tokenizer."""
    if not (work / "labels.npy").exists():
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "model").exists():
            (work / "model").symlink_to(model.resolve())
        data = rows_of(model, seed, arguments)
        batches = dict(named_batches(data))
        export_onnx(load_model_folder(model), work / "model.onnx", batches["8x64"], fuse=False)
        arrays = {
            f"{batch}/{column}": values.numpy()
            for batch, columns in batches.items()
            for column, values in columns.items()
        }
        np.savez(work / "batches.npz", **arrays)
        np.save(work / "labels.npy", np.array(data.test["labels"]))
    return work


def rows_of(model: Path, seed: int, arguments: argparse.Namespace) -> TaskData:
    config = DataConfig(
        name=arguments.data,
        max_length=arguments.max_length,
        train_samples=arguments.train_samples,
        test_samples=arguments.test_samples,
    )
    return load_data(config, task=TASK, processor=load_processor(str(model), task=TASK), seed=seed)


def named_batches(data: TaskData) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Some of the training set, all of the test set, and those to time."""
    counts = {"train": BATCH * CALIBRATION, "test": len(data.test)}
    for split, rows in (("train", data.train), ("test", data.test)):
        for start in range(0, counts[split], BATCH):
            chosen = range(start, min(start + BATCH, counts[split]))
            batch = dict(data.collate(list(rows.select(chosen))))
            batch.pop("labels")
            yield f"{split}.{start // BATCH}", batch
    for batch in bench_batches(data, BenchConfig(batch_sizes=SIZES, sequence_lengths=(LENGTH,))):
        yield shape_name(batch), batch


def ours(contender: Contender, work: Path, environments: Path) -> Path:
    """The artefact of one of our recipes: fused, and in the 8 bits that the runtime likes best."""
    artefact = work / f"ours-{contender.program}.onnx"
    if artefact.exists():
        return artefact
    batches = read_batches(work)
    model = load_model_folder(work / "model")
    floats = export_onnx(model, work / "fused.onnx", tensors(batches["8x64"]))
    if contender.program == "onnxruntime":
        return quantize_dynamic(floats, artefact)
    seen = [tensors(arrays) for name, arrays in batches.items() if name.startswith("train.")]
    return quantize_nncf(floats, artefact, seen)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def accuracy(process: Process, artefact: Path, work: Path) -> float:
    """On the whole test set."""
    answers = artefact.with_name(f"{artefact.name}.logits.npy")
    process.ask(answer=str(answers))
    return float((np.load(answers).argmax(1) == np.load(work / "labels.npy")).mean())


def size_of(artefact: Path) -> int:
    """Bytes of weights and graph: of a folder its weights', of OpenVINO's two files both."""
    files = [artefact, artefact.with_suffix(".bin")]
    if artefact.is_dir():
        files = list(artefact.glob("model/*.safetensors")) + list(artefact.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files if file.exists())


def table(results: list[Result]) -> str:
    """A line a contender: means and standard deviations over seeds, medians of times."""
    shapes = " | ".join(f"ms at {shape} (p95)" for shape in SHAPES)
    lines = [
        f"| what | accuracy | points lost | MB | {shapes} | cold start | memory |",
        f"|---|{'---:|' * (5 + len(SHAPES))}",
    ]
    return "\n".join([*lines, *(line(name, results) for name in ALL), "", *verdicts(results)])


def line(name: str, results: list[Result]) -> str:
    rows = [result["rows"][name] for result in results]
    lost = [100 * value for value in points_lost(name, results)]
    times = [[np.percentile(row["ms"][shape], [50, 95]) for row in rows] for shape in SHAPES]
    told = " | ".join("{:.2f} ({:.2f})".format(*np.median(own, axis=0)) for own in times)
    return (
        f"| {name} | {spread([row['accuracy'] for row in rows])} "
        f"| {'{:+.1f} ± {:.1f}'.format(*mean_and_deviation(lost))} "
        f"| {np.median([row['bytes'] for row in rows]) / 1e6:.2f} | {told} "
        f"| {np.median([row['cold_seconds'] for row in rows]):.2f} s "
        f"| {np.median([row['memory'] for row in rows]) / 1e6:.0f} MB |"
    )


def points_lost(name: str, results: list[Result]) -> list[float]:
    """Of each seed, against its teacher as floats."""
    return [
        result["rows"][FLOATS.name]["accuracy"] - result["rows"][name]["accuracy"]
        for result in results
    ]


def verdicts(results: list[Result]) -> Iterator[str]:
    """Ours against the fastest peer that loses as little: in 8 bits, cut, then both at once."""
    for bound, shape, peers in product(BOUNDS, SHAPES, (INT8, LAYERS, BOTH)):
        peer = fastest((peer.name for peer in peers), shape, bound, results)
        own = fastest((own.name for own in OURS), shape, bound, results)
        if peer and own:
            yield (
                f"at most {100 * bound:.1f} points, {shape}: {own} is "
                f"{ratio(peer, own, shape, results)} times as fast as {peer}"
            )


def fastest(names: Iterable[str], shape: str, bound: float, results: list[Result]) -> str | None:
    """Of those that lose at most `bound`, on the mean of the seeds."""
    good = [name for name in names if np.mean(points_lost(name, results)) <= bound]
    return min(good, key=lambda name: median(name, shape, results), default=None)


def ratio(slow: str, fast: str, shape: str, results: list[Result]) -> str:
    """Of medians, seed by seed, as these took turns: their middle and their ends."""
    found = sorted(
        np.median(result["rows"][slow]["ms"][shape]) / np.median(result["rows"][fast]["ms"][shape])
        for result in results
    )
    return f"{np.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def median(name: str, shape: str, results: list[Result]) -> float:
    return float(np.median([np.median(result["rows"][name]["ms"][shape]) for result in results]))


if __name__ == "__main__":
    main()
